"""Named pooling geometries, each with the reason it exists. One list drives several tests.

`shape` is the pooled part of the input; tests put batch and channels in front. Nothing here
knows what the answer is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Case:
    name: str
    why: str
    shape: tuple[int, ...]
    kernel: Any
    stride: Any = None
    padding: Any = 0
    dilation: Any = 1
    ceil_mode: bool = False
    lead: tuple[int, ...] = (2, 3)  # batch and channels

    @property
    def nd(self) -> int:
        return len(self.shape)

    @property
    def window(self) -> dict[str, Any]:
        """The geometry as keyword arguments of any pooling function."""
        return {
            "kernel_size": self.kernel,
            "stride": self.stride,
            "padding": self.padding,
            "dilation": self.dilation,
            "ceil_mode": self.ceil_mode,
        }

    def __str__(self) -> str:
        return f"{self.nd}d-{self.name}"


def _widths() -> list[Case]:
    """Row lengths around one and several vectors of 4, 8, 16, 32 and 64 lanes."""
    cases = []
    for lanes in (4, 8, 16, 32, 64):
        for delta, word in ((-1, "minus_1"), (0, "exact"), (1, "plus_1")):
            width = lanes + delta
            cases += [
                Case(f"width_{lanes}_{word}_k2_s2", "blocks end at a vector's edge",
                     (4, 2 * width), 2, 2, lead=(1, 2)),
                Case(f"width_{lanes}_{word}_k3_s1", "sliding windows end at a vector's edge",
                     (5, width + 2), 3, 1, lead=(1, 2)),
                Case(f"width_{lanes}_{word}_k3_s2_p1", "stride 2 with both edges padded",
                     (5, 2 * width), 3, 2, 1, lead=(1, 1)),
            ]  # fmt: skip
    return cases


CASES_1D = [
    Case("whole", "one window over everything", (9,), 9),
    Case("single_element", "the smallest input there is", (1,), 1),
    Case("kernel_1", "a window of one tap copies", (13,), 1, 1),
    Case("kernel_1_stride_3", "copies every third", (14,), 1, 3),
    Case("stride_over_kernel", "elements between windows are never read", (23,), 2, 5),
    Case("last_window_partial", "ceil adds a window over the edge", (8,), 3, 2, 0, 1, True),
    Case("ceil_window_dropped", "it would start in the right padding", (5,), 3, 3, 1,
         1, True),
    Case("ceil_kernel_larger_than_input", "one clipped window", (2,), 3, 2, 0,
         1, True),
    Case("pad_effective_minus_1", "the first window holds one real tap", (7,), 4, 1, 3),
    Case("pad_effective_minus_1_dilated", "the same with gaps", (7,), 3, 1, 4, 2),
    Case("pad_left_only", "asymmetric padding", (10,), 3, 1, [(2, 0)]),
    Case("pad_right_only", "asymmetric padding", (10,), 3, 2, [(0, 2)]),
    Case("dilation_skips_image", "windows whose taps all miss the input", (2,), 2, 1, 4, 5),
    Case("dilation_3", "taps with gaps", (31,), 4, 2, 2, 3),
    Case("same_odd_kernel", "same keeps the length at stride 1", (11,), 5, 1, "same"),
    Case("same_even_kernel_stride_2", "the odd pad goes right", (9,), 4, 2, "same"),
    Case("same_lower_even_kernel_stride_2", "the odd pad goes left", (9,), 4, 2, "same_lower"),
    Case("same_stride_over_kernel", "total padding would be negative", (10,), 2, 5, "same"),
    Case("same_dilated", "same counts the effective kernel", (12,), 3, 2, "same", 4),
    Case("valid", "no padding, the tail is dropped", (10,), 4, 3, "valid"),
    Case("long_row_k2", "several vectors and a tail", (517,), 2, 2),
    Case("long_row_k5_s1", "several vectors, overlapping", (517,), 5, 1, 2),
    Case("long_kernel_s1", "doubling over many steps", (300,), 101, 1, 50),
    Case("kernel_power_of_two", "a doubling without a remainder", (200,), 64, 3),
    Case("kernel_power_of_two_minus_1", "a doubling with every remainder", (200,), 63, 1),
    Case("kernel_over_4096", "the accumulator widens", (4200,), 4097, 50, lead=(1, 1)),
    Case("kernel_4096", "the narrow accumulator's last length", (4200,), 4096, 50, lead=(1, 1)),
]  # fmt: skip

CASES_2D = [
    Case("lesson", "2x2, stride 1", (3, 3), 2, 1),
    Case("one_pixel", "the smallest image", (1, 1), 1),
    Case("one_row", "height 1", (1, 37), (1, 3), 2, (0, 1)),
    Case("one_column", "width 1", (37, 1), (3, 1), 2, (1, 0)),
    Case("odd_edges", "odd sizes with stride 2 lose the last row and column", (9, 11), 2),
    Case("odd_edges_ceil", "and keep them under ceil", (9, 11), 2, None, 0, 1, True),
    Case("corner_window_partial", "ceil and padding meet in a corner", (8, 8), 3, 2, 1, 1, True),
    Case("anisotropic", "everything differs per axis", (12, 17), (3, 4), (2, 1), (1, 2), (1, 2)),
    Case("pad_pairs", "four different pads", (7, 9), (4, 5), (2, 3), [(3, 0), (1, 4)]),
    Case("pad_pairs_dilated", "with gaps and ceil", (9, 8), (3, 2), (2, 3), [(1, 3), (2, 0)],
         (2, 3), True),
    Case("dilation_skips_image", "windows without a tap in either axis", (3, 2), 2, (2, 1), (4, 5),
         (5, 6)),
    Case("same_even_kernel_stride_2", "odd total padding in both axes", (9, 12), (4, 2), 2, "same"),
    Case("same_lower_even_kernel_stride_2", "or left", (9, 12), (4, 2), 2, "same_lower"),
    Case("same_stride_over_kernel", "same with s > k", (11, 10), 2, 3, "same"),
    Case("same_dilated", "same with d > 1", (13, 12), 3, 2, "same", 3),
    Case("valid_ceil", "valid sets the pads; ceil still applies", (9, 10), 3, 2, "valid", 1, True),
    Case("stride_over_kernel", "gaps in both axes", (20, 21), 2, (5, 4)),
    Case("stride_3", "neither 1 nor 2", (20, 50), 3, 3),
    Case("kernel_2_stride_1", "even windows overlap", (6, 40), 2, 1),
    Case("kernel_5_stride_2", "windows overlap by three", (15, 47), 5, 2, 2),
    Case("kernel_31", "windows of nearly the image", (33, 40), 31, 1),
    Case("kernel_64x64", "4096 taps: the narrow accumulator's last", (65, 66), 64, 1, lead=(1, 1)),
    Case("kernel_64x65", "4160 taps: the wide accumulator", (65, 66), (64, 65), 1, lead=(1, 1)),
    Case("alexnet_pool", "3x3, stride 2, no padding", (13, 13), 3, 2, lead=(1, 6)),
    Case("vgg_pool", "2x2, stride 2", (28, 28), 2, 2, lead=(1, 4)),
    Case("resnet_stem", "3x3, stride 2, padding 1", (28, 28), 3, 2, 1, lead=(1, 4)),
    Case("inception_branch", "3x3, stride 1, padding 1", (14, 14), 3, 1, 1, lead=(1, 4)),
    Case("googlenet_ceil", "3x3, stride 2, ceil", (14, 14), 3, 2, 0, 1, True, lead=(1, 4)),
    Case("yolo_spp_5", "5x5 keeping the size", (10, 10), 5, 1, 2, lead=(1, 5)),
    Case("yolo_spp_13", "13x13, larger than the image", (10, 10), 13, 1, 6, lead=(1, 2)),
    Case("global_7x7", "the last pooling of many networks", (7, 7), 7, lead=(2, 40)),
    Case("global_8x8", "a plane's row fills its vector", (8, 8), 8, lead=(3, 11)),
    Case("global_20x5", "more rows than a vector has lanes", (20, 5), (20, 5), lead=(1, 17)),
    Case("global_1x3", "planes of one short row", (1, 3), (1, 3), lead=(2, 9)),
    Case("tiny_planes", "many planes of a few pixels", (4, 4), 2, 2, lead=(3, 50)),
    *_widths(),
]  # fmt: skip

CASES_3D = [
    Case("one_voxel", "the smallest volume", (1, 1, 1), 1),
    Case("c3d_pool", "2x2x2", (4, 8, 10), 2, lead=(1, 2)),
    Case("i3d_pool", "kernel 1 in depth", (3, 9, 10), (1, 3, 3), (1, 2, 2), "same", lead=(1, 2)),
    Case("padded_overlap", "3x3x3, stride 2, padding 1", (5, 7, 20), 3, 2, 1, lead=(1, 2)),
    Case("anisotropic_ceil", "everything differs per axis", (6, 7, 19), (2, 3, 4), (3, 2, 1),
         [(1, 0), (0, 2), (3, 1)], (1, 2, 1), True, lead=(1, 2)),
    Case("dilation_skips_image", "windows without a tap", (2, 3, 4), 2, 1, (4, 0, 2), (4, 1, 2),
         lead=(1, 1)),
    Case("depth_only", "1x1 in H, W", (7, 3, 18), (3, 1, 1), (2, 1, 1), (1, 0, 0), lead=(1, 2)),
    Case("whole", "one window", (3, 5, 6), (3, 5, 6), lead=(2, 2)),
    Case("wide_rows", "a vector's edge in the last axis", (3, 4, 67), (2, 2, 3), 1, (0, 1, 1),
         lead=(1, 1)),
]  # fmt: skip

CASES = [*CASES_1D, *CASES_2D, *CASES_3D]
# A few that between them reach every path, for tests that multiply cases by something else.
SHORT_NAMES = {
    "last_window_partial", "pad_effective_minus_1", "dilation_skips_image", "long_row_k5_s1",
    "lesson", "anisotropic", "pad_pairs", "corner_window_partial", "same_even_kernel_stride_2",
    "resnet_stem", "vgg_pool", "global_7x7", "width_16_plus_1_k2_s2", "width_16_plus_1_k3_s1",
    "padded_overlap", "anisotropic_ceil",
}  # fmt: skip
SHORT = [case for case in CASES if case.name in SHORT_NAMES]


def skips_the_input(case: Case) -> bool:
    """Some window has no tap inside the input."""
    return case.name.startswith("dilation_skips_image")
