"""Lite0Backbone: EfficientNet-Lite0 as a backbone that every detector of transformers can take.

Registered with ``AutoConfig`` and ``AutoBackbone``, so that a detector with it is saved and loaded
like any other. The one backbone whose ImageNet weights come in a package (no network needed).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoBackbone, AutoConfig, PreTrainedConfig, PreTrainedModel
from transformers.backbone_utils import BackboneConfigMixin, BackboneMixin
from transformers.modeling_outputs import BackboneOutput

from hilum.learn.networks.efficientnet_lite import lite

MODEL_TYPE = "efficientnet_lite0"

STAGES = {"stem": (None, 32), "stage1": (2, 24), "stage2": (4, 40), "stage3": (10, 112)} | {
    "stage4": (15, 320)
}
"""Stage -> (last block of it, channels), at 1/2, 1/4, 1/8, 1/16 and 1/32 of the side."""


class Lite0Config(BackboneConfigMixin, PreTrainedConfig):  # type: ignore[no-untyped-call]
    """Settings of the backbone.

    Attributes:
        image_size: side of the square input, in pixels; a multiple of 32.
    """

    model_type = MODEL_TYPE

    image_size: int = 224
    _out_features: list[str] | None = None
    _out_indices: list[int] | None = None

    def __post_init__(self, **options: Any) -> None:
        """Name the stages and choose those that are handed out."""
        self.stage_names = list(STAGES)
        self.set_output_features_output_indices(
            out_indices=options.pop("out_indices", None),
            out_features=options.pop("out_features", None),
        )
        super().__post_init__(**options)  # type: ignore[no-untyped-call]


class Lite0Backbone(BackboneMixin, PreTrainedModel):  # type: ignore[no-untyped-call]
    """The package's network without its head: (N, 3, S, S) to feature maps of some stages."""

    config_class = Lite0Config
    base_model_prefix = "lite0"
    main_input_name = "pixel_values"
    has_attentions = False

    def __init__(self, config: Lite0Config) -> None:
        super().__init__(config)
        self.num_features = [channels for _, channels in STAGES.values()]
        network = lite("efficientnet-lite0", config.image_size, pretrained=False)
        self.stem = nn.Sequential(network._conv_stem, network._bn0, nn.ReLU6())
        self.blocks = nn.ModuleList(network._blocks)
        self.post_init()  # type: ignore[no-untyped-call]

    def _init_weights(self, module: nn.Module) -> None:
        """Keep what the layers start with: ``load_imagenet`` or a checkpoint replaces it."""

    def forward(self, pixel_values: Tensor, *_: Any, **__: Any) -> BackboneOutput:
        """Return the feature maps of ``out_features``, shallow to deep."""
        found = {"stem": self.stem(pixel_values)}
        features = found["stem"]
        stage_of = {last: stage for stage, (last, _) in STAGES.items()}
        for place, block in enumerate(self.blocks):
            features = block(features)
            if place in stage_of:
                found[stage_of[place]] = features
        return BackboneOutput(feature_maps=tuple(found[name] for name in self.out_features))

    @torch.no_grad()
    def load_imagenet(self) -> None:
        """Take the ImageNet weights of the package (trained on ``(x - 0.498) / 0.502``)."""
        network = lite("efficientnet-lite0", self.config.image_size, pretrained=True)
        self.stem[0].load_state_dict(network._conv_stem.state_dict())
        self.stem[1].load_state_dict(network._bn0.state_dict())
        self.blocks.load_state_dict(network._blocks.state_dict())

    def freeze(self, blocks: int) -> None:
        """Stop the stem and the first blocks, their running statistics too."""
        for part in (self.stem, *self.blocks[:blocks]) if blocks else ():
            part.eval().requires_grad_(False)


AutoConfig.register(MODEL_TYPE, Lite0Config)
AutoBackbone.register(Lite0Config, Lite0Backbone)
