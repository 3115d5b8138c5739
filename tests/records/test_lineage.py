"""Where weights come from, on the records of this project's studies and on a chain of all kinds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from msgspec.structs import replace

from robust_det.records import Record
from robust_det.records.base import File, Weights
from robust_det.records.detection import Detector, InitDetector
from robust_det.records.lineage import Lineage, Link

Pairs = list[tuple[Path, Record]]
Plain = dict[str, dict[str, Any]]


def test_detectors_come_from_the_pretraining_of_their_weights(records: Pairs, plain: Plain) -> None:
    made = {
        one["weights"]["sha256"]: path for path, one in plain.items() if one["kind"] == "pretrain"
    }
    lineage = Lineage(records)
    linked = 0
    for number, (path, record) in enumerate(records):
        if record.kind() != "detection":
            continue
        weights = plain[str(path)]["weights"]
        source = weights.get("source_sha256") or weights["sha256"]
        parents = lineage.parents(number)
        if [link.how for link in parents] == ["again"]:  # a copy among the results
            assert records[parents[0].parent][1].detector == record.detector  # type: ignore[attr-defined]
            continue
        assert len(parents) == (source in made)
        for link in parents:
            linked += 1
            assert records[link.parent][1].weights.sha256 == source
            assert link.how == "fine-tuned" and link.converted == weights["sha256"]
    assert linked >= 12


def test_a_chain_from_pretraining_to_the_evaluation_of_a_detector(records: Pairs) -> None:
    def first(kind: str) -> Any:
        return next(one for _, one in records if one.kind() == kind)

    a, b, c, d = ("a" * 64, "b" * 64, "c" * 64, "d" * 64)
    begun = replace(first("pretrain"), name="begun", weights=Weights("begun.pth", a))
    pretrain = replace(begun, weights=Weights("p.pth", b), started_from=File("begun.pth", a))
    converted = Weights("converted.pth", c, b)
    trained = replace(
        first("detection"), weights=converted, detector=Detector("model_final.pth", d)
    )
    again = replace(trained, name="again", wall_time_s=1.0)
    on = replace(
        trained,
        detector=Detector("model_final.pth", "e" * 64),
        init_detector=InitDetector("model_final.pth", d),
    )
    measured = replace(first("classifier_evaluation"), weights=Weights("p.pth", b))
    chain = [begun, pretrain, again, trained, on, measured]
    lineage = Lineage([(Path(str(n)), one) for n, one in enumerate(chain)])
    assert set(lineage.links) == {
        Link(0, 1, "went on"),
        Link(1, 3, "fine-tuned", c),
        Link(3, 2, "again"),
        Link(3, 4, "went on"),
        Link(1, 4, "fine-tuned", c),
        Link(1, 5, "evaluated"),
    }
    assert [link.child for link in lineage.children(1)] == [3, 4, 5]
    assert lineage.parents(0) == []
