from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from robust_det.data.classification.sampling import EvalBatches, TrainBatches

sizes = st.integers(1, 60)


@settings(max_examples=60, deadline=None)
@given(batch=st.integers(1, 6), batches=st.integers(1, 6), world=st.integers(1, 3), seed=sizes)
def test_every_image_comes_once_an_epoch(batch: int, batches: int, world: int, seed: int) -> None:
    length = batch * world * batches
    shards = [
        list(TrainBatches(length, batch * world, 3, seed, rank=rank, world_size=world))
        for rank in range(world)
    ]
    for epoch in range(3):
        seen = [
            key
            for shard in shards
            for step in shard[epoch * batches : (epoch + 1) * batches]
            for key in step
        ]
        assert sorted(seen) == [(epoch, i) for i in range(length)]
    assert all(len(step) == batch for shard in shards for step in shard)


@settings(max_examples=60, deadline=None)
@given(length=st.integers(6, 60), start=st.integers(0, 20), seed=sizes)
def test_a_later_start_continues_the_same_sequence(length: int, start: int, seed: int) -> None:
    whole = list(TrainBatches(length, 6, 4, seed))
    start = min(start, len(whole))
    rest = TrainBatches(length, 6, 4, seed, start_step=start)
    assert list(rest) == whole[start:]
    assert len(rest) == len(whole) - start


def test_processes_share_the_batch_of_a_single_one() -> None:
    alone = list(TrainBatches(40, 8, 2, seed=3))
    first = list(TrainBatches(40, 8, 2, seed=3, rank=0, world_size=2))
    second = list(TrainBatches(40, 8, 2, seed=3, rank=1, world_size=2))
    for whole, a, b in zip(alone, first, second, strict=True):
        assert sorted(whole) == sorted(a + b)


def test_order_changes_with_seed_and_epoch_and_drops_the_rest() -> None:
    batches = list(TrainBatches(10, 4, 2, seed=0))
    assert len(batches) == 4
    orders = [[i for _, i in batches[0] + batches[1]], [i for _, i in batches[2] + batches[3]]]
    other = list(TrainBatches(10, 4, 2, seed=1))
    assert orders[0] != orders[1]
    assert orders[0] != [i for _, i in other[0] + other[1]]
    assert all(len(set(order)) == 8 for order in orders)


@settings(max_examples=60, deadline=None)
@given(images=st.integers(2, 5), repeats=st.integers(2, 4), world=st.integers(1, 3), seed=sizes)
def test_repeats_are_copies_within_a_batch(
    images: int, repeats: int, world: int, seed: int
) -> None:
    batch, length = images * repeats * world, 7 * images * repeats * world + 1
    shards = [
        list(TrainBatches(length, batch, 2, seed, rank=rank, world_size=world, repeats=repeats))
        for rank in range(world)
    ]
    plain = list(TrainBatches(length, images * world, 2, seed))
    per_epoch, of_plain = 7, length // (images * world)
    assert [len(shard) for shard in shards] == [2 * per_epoch] * world
    for step in range(2 * per_epoch):
        epoch, number = divmod(step, per_epoch)
        keys = [key for shard in shards for key in shard[step]]
        # the images are those of the same permutation, each with all its copies
        expected = plain[epoch * of_plain + number]
        assert sorted(keys) == sorted((*key, c) for key in expected for c in range(repeats))
        assert all(len(shard[step]) == batch // world for shard in shards)
        for shard in shards:  # which mixup pairs
            ring = zip(shard[step], shard[step][-1:] + shard[step][:-1], strict=True)
            assert all(one[1] != other[1] for one, other in ring)
    later = TrainBatches(length, batch, 2, seed, start_step=9, world_size=world, repeats=repeats)
    assert list(later) == shards[0][9:] and len(later) == 5


@settings(max_examples=60, deadline=None)
@given(length=st.integers(0, 60), batch=st.integers(1, 9), world=st.integers(1, 4))
def test_validation_sees_every_image_once(length: int, batch: int, world: int) -> None:
    shards = [EvalBatches(length, batch, rank, world) for rank in range(world)]
    seen = sorted(index for shard in shards for step in shard for _, index in step)
    assert seen == list(range(length))
    assert all(len(list(shard)) == len(shard) for shard in shards)
