"""A residual network of any width, for tests and the demo."""

from __future__ import annotations

from torch import nn
from torchvision.models.resnet import BasicBlock, ResNet

__all__ = ["NarrowResNet"]


class NarrowResNet(ResNet):
    """torchvision's ResNet with ``width`` channels in the stem and layer1 instead of 64.

    Parameter names and the forward pass are torchvision's, so all that reads a ResNet reads it.

    Args:
        block: torchvision's residual block class.
        layers: blocks per layer.
        width: channels of the stem; doubled at each layer after the first.
        num_classes: number of logits.
    """

    def __init__(
        self, block: type[BasicBlock], layers: list[int], width: int, num_classes: int
    ) -> None:
        nn.Module.__init__(self)
        # what ResNet._make_layer reads
        self._norm_layer = nn.BatchNorm2d
        self.inplanes = width
        self.dilation = 1
        self.groups = 1
        self.base_width = 64

        self.conv1 = nn.Conv2d(3, width, kernel_size=7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        self.layer1 = self._make_layer(block, width, layers[0])
        self.layer2 = self._make_layer(block, 2 * width, layers[1], stride=2)
        self.layer3 = self._make_layer(block, 4 * width, layers[2], stride=2)
        self.layer4 = self._make_layer(block, 8 * width, layers[3], stride=2)
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(8 * width * block.expansion, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
