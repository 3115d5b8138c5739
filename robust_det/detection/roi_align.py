"""ROIAlign for training on CPUs, as sums over rows of a table.

Bilinear interpolation and the mean over a bin's samples (He et al. 2017, Mask R-CNN, section 3)
are linear in the features: each bin is a weighted sum of pixels. With the pixels as rows of a table
that is ``embedding_bag``, which adds rows of all channels, where torchvision's kernels go from
number to number and the backward one has a single thread.
"""

from __future__ import annotations

import torch
from detectron2.layers import ROIAlign
from torch import nn
from torch.nn import functional as F

__all__ = ["TableROIAlign", "pool_by_table"]

# bins' pixels that are looked at at a time: some 100 MB
_ENTRIES = 1 << 22


class TableROIAlign(ROIAlign):
    """Detectron2's ROIAlign, computed otherwise in training on a CPU; elsewhere torchvision's.

    The features are the same up to rounding, which in float32 is all that differs. Under autocast
    Detectron2 rounds the regions to the features' type, in bfloat16 to 8 bits of each coordinate;
    here they keep theirs.
    """

    def forward(self, input: torch.Tensor, rois: torch.Tensor) -> torch.Tensor:
        """Pool features within regions.

        Args:
            input: (N, C, H, W) features.
            rois: (K, 5) image number, x0, y0, x1, y1 in pixels of the image.

        Returns:
            (K, C, h, w) of the type of the features.
        """
        if not self.training or input.device.type != "cpu":
            return super().forward(input, rois)
        height, width = self.output_size
        with torch.no_grad():
            rows, weights, offsets = self._table(input, rois.float())
        table = input.permute(0, 2, 3, 1).flatten(0, 2).float()
        bags = F.embedding_bag(rows, table, offsets, mode="sum", per_sample_weights=weights)
        pooled = bags.view(len(rois), height, width, input.shape[1]).permute(0, 3, 1, 2)
        return pooled.to(input.dtype)

    def _table(
        self, input: torch.Tensor, rois: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return the rows of the table that all bins sum, their weights, and where each bin
        begins."""
        _, _, height, width = input.shape
        bins = self.output_size[0] * self.output_size[1]
        x0, y0, x1, y1 = (rois[:, 1:] * self.spatial_scale - 0.5 * self.aligned).unbind(1)
        top, down = self._windows(y0, y1, self.output_size[0], height)
        left, across = self._windows(x0, x1, self.output_size[1], width)
        image = rois[:, 0].long() * height
        taps = down.shape[2] * across.shape[2]
        step = max(_ENTRIES // (bins * taps), 1)
        rows, weights, counts = [], [], []
        for part in torch.arange(len(rois)).split(step):
            # (regions, h, w, down, across); most of the larger windows is zero
            weight = down[part][:, :, None, :, None] * across[part][:, None, :, None, :]
            y = (top[part][..., None] + torch.arange(down.shape[2])).clamp(max=height - 1)
            x = (left[part][..., None] + torch.arange(across.shape[2])).clamp(max=width - 1)
            y = (image[part][:, None, None] + y) * width
            row = y[:, :, None, :, None] + x[:, None, :, None, :]
            kept = weight.flatten().nonzero()[:, 0]
            rows.append(row.flatten().index_select(0, kept))
            weights.append(weight.flatten().index_select(0, kept))
            counts.append((weight != 0).flatten(3).sum(3).flatten())
        if not rows:
            return torch.empty(0).long(), torch.empty(0), torch.empty(0).long()
        count = torch.cat(counts)
        return torch.cat(rows), torch.cat(weights), count.cumsum(0) - count

    def _windows(
        self, start: torch.Tensor, end: torch.Tensor, bins: int, length: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return along one axis the first pixel of each bin (K, bins) and the weights of it and
        those after it (K, bins, taps).

        Args:
            start, end: (K) of the regions, in pixels of the features.
            bins: of the output along this axis.
            length: of the features along this axis.
        """
        size = end - start
        if not self.aligned:
            size = size.clamp(min=1)
        size = size[:, None, None]
        # samples of a bin: none in an empty region, which gives zeros
        samples = (
            torch.full_like(size, self.sampling_ratio)
            if self.sampling_ratio > 0
            else (size / bins).ceil().clamp(min=0)
        )
        largest = int(samples.max()) if len(size) else 0
        number = torch.arange(max(largest, 1))
        place = torch.arange(bins)[:, None] + (number + 0.5) / samples.clamp(min=1)
        place = start[:, None, None] + place * (size / bins)
        inside = (number < samples) & (place >= -1) & (place <= length)
        place = torch.where(inside, place, place[..., :1]).clamp(0, length - 1)
        low = place.floor()
        first = low.amin(2, keepdim=True)
        share = inside / samples.clamp(min=1)
        after = (low - first).long()
        weights = share.new_zeros(*low.shape[:2], int(after.max()) + 2 if len(size) else 2)
        weights.scatter_add_(2, after, share * (1 - (place - low)))
        weights.scatter_add_(2, after + 1, share * (place - low))
        return first[..., 0].long(), weights


def pool_by_table(model: nn.Module) -> int:
    """Let every ROIAlign of a detector be a :class:`TableROIAlign`, in place.

    Returns:
        How many there were.
    """
    found = [
        (parent, name, child)
        for parent in model.modules()
        for name, child in parent.named_children()
        if type(child) is ROIAlign
    ]
    for parent, name, old in found:
        new = TableROIAlign(old.output_size, old.spatial_scale, old.sampling_ratio, old.aligned)
        setattr(parent, name, new)
    return len(found)
