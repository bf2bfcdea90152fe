"""The networks of SSR-KD: shapes, parameter counts, gradients, and where exactly a point is sampled."""

from functools import partial

import pytest
import torch

from voxbench.errors import DimensionError
from voxbench.models.blocks import sample
from voxbench.models.ct_teacher import build_ct_teacher, build_teacher_pair
from voxbench.models.two_view import build_two_view_student
from voxbench.models.xray_bones import build_bone_segmenter, build_segmenter_pair

BUILDERS = {"segmenter": build_bone_segmenter, "teacher": build_ct_teacher, "student": build_two_view_student}
PAIRS = {"segmenter": build_segmenter_pair, "teacher": build_teacher_pair}

COUNTS = {
    # The usual U-Net with one channel in and two out.
    "segmenter": (1_093_178, 31_036_546),
    # At the published size V-Net 9 448 832, heads 414 976, perceptron 111 557.
    "teacher": (449_125, 9_975_365),
    # At the published size twice 14 417 728, perceptron 397 061, 512 * 64.
    "student": (977_189, 29_265_285),
}


def inputs(name, seed=0):
    torch.manual_seed(seed)
    if name == "segmenter":
        return (torch.rand(2, 1, 32, 48),)
    if name == "teacher":
        return torch.rand(2, 1, 16, 24, 16), 2 * torch.rand(2, 40, 3) - 1
    return torch.rand(2, 2, 2, 32, 48), 2 * torch.rand(2, 2, 40, 2) - 1


def flat(found):
    return [found] if isinstance(found, torch.Tensor) else [x for part in found for x in flat(part)]


@pytest.mark.parametrize("name", list(COUNTS))
def test_parameter_counts_are_those_published(name):
    with torch.device("meta"):
        assert (
            tuple(sum(p.numel() for p in BUILDERS[name](size).parameters()) for size in ("laptop", "paper"))
            == (COUNTS[name])
        )


def test_published_parts_have_the_published_counts_and_products():
    with torch.device("meta"):
        teacher, student = build_ct_teacher("paper"), build_two_view_student("paper")
    assert sum(p.numel() for p in student.views[0].parameters()) == 14_417_728
    assert [sum(p.numel() for p in part.parameters()) for part in (student.points, student.project)] == [
        397_061,
        32_768,
    ]
    products = [sum(p.numel() for p in net.points.parameters() if p.ndim == 2) for net in (teacher, student)]
    assert products == [110_912, 396_416]


def test_all_weights_of_the_small_size_stay_below_20_megabytes():
    networks = [build_segmenter_pair(), build_teacher_pair(), build_two_view_student()]
    assert sum(t.numel() * t.element_size() for n in networks for t in n.state_dict().values()) < 20e6


def test_a_segmenter_gives_two_logits_for_every_pixel_of_any_size():
    assert build_bone_segmenter()(torch.rand(2, 1, 21, 34)).shape == (2, 2, 21, 34)


@pytest.mark.parametrize("size", ["laptop", "paper"])
def test_a_teacher_gives_logits_of_four_heads_and_the_features_of_the_last(size):
    network = build_ct_teacher(size).eval()
    volume, points = torch.rand(1, 1, 16, 16, 32), 2 * torch.rand(1, 7, 3) - 1
    maps = network.encode(volume)
    assert [tuple(m.shape[2:]) for m in maps] == [(2, 2, 4), (4, 4, 8), (8, 8, 16), (16, 16, 32)]
    logits, features = network.query(maps, points)
    assert [x.shape for x in logits] == [(1, 7, 5)] * 4
    assert features.shape == (1, 7, 64)
    last, same = network.query(maps[-1:], points)
    assert torch.equal(last[0], logits[-1])
    assert torch.equal(same, features)


@pytest.mark.parametrize(("size", "stacks", "wide"), [("laptop", 2, 64), ("paper", 4, 256)])
def test_a_student_gives_logits_and_features_of_every_stack(size, stacks, wide):
    network = build_two_view_student(size)
    images, pixels = torch.rand(1, 2, 2, 32, 48), 2 * torch.rand(1, 2, 7, 2) - 1
    maps = network.encode(images)
    assert [m.shape for m in maps] == [(1, 2, wide, 8, 12)] * stacks
    logits, features = network(images, pixels)
    assert [x.shape for x in logits] == [(1, 7, 5)] * stacks
    assert [x.shape for x in features] == [(1, 7, 64)] * stacks


def test_the_last_map_of_a_student_alone_gives_what_it_gives_among_all():
    network = build_two_view_student()
    images, pixels = inputs("student")
    maps = network.encode(images)
    assert torch.equal(network.query(maps[-1:], pixels)[0][0], network.query(maps, pixels)[0][-1])


@pytest.mark.parametrize("name", list(BUILDERS))
def test_points_of_one_case_are_not_moved_by_another_case(name):
    network = BUILDERS[name]().eval()
    both = inputs(name)
    for whole, alone in zip(flat(network(*both)), flat(network(*(x[1:] for x in both))), strict=True):
        torch.testing.assert_close(whole[1:], alone, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", list(BUILDERS))
def test_the_same_seed_gives_the_same_network_and_the_same_answer(name):
    answers = []
    for _ in range(2):
        torch.manual_seed(3)
        answers.append(flat(BUILDERS[name]()(*inputs(name))))
    assert all(torch.equal(a, b) for a, b in zip(*answers, strict=True))


@pytest.mark.parametrize("build", [*BUILDERS.values(), *PAIRS.values()])
def test_a_gradient_reaches_every_parameter(build):
    name = next(n for n, b in (*BUILDERS.items(), *PAIRS.items()) if b is build)
    network = build().eval()  # a normalisation by the batch at hand takes out the bias before it
    torch.manual_seed(1)
    sum((x * torch.randn_like(x)).sum() for x in flat(network(*inputs(name)))).backward()
    silent = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.abs().max() > 0]
    assert silent == []
    assert all(p.grad.isfinite().all() for p in network.parameters())


@pytest.mark.parametrize("name", list(PAIRS))
def test_the_networks_of_a_pair_begin_differently_and_answer_for_themselves(name):
    pair = PAIRS[name]().eval()
    a, b = pair(*inputs(name))
    for mine, theirs in ((a, pair.a), (b, pair.b)):
        assert all(torch.equal(x, y) for x, y in zip(flat(mine), flat(theirs(*inputs(name))), strict=True))
    spreads = []
    for network in (pair.a, pair.b):
        weight = max((p for p in network.parameters() if p.ndim > 3), key=torch.numel)
        fan_in, fan_out = (weight.shape[n] * weight[0, 0].numel() for n in (1, 0))
        spreads.append((float(weight.detach().std()), (2 / fan_in) ** 0.5, (2 / (fan_in + fan_out)) ** 0.5))
    assert spreads[0][0] == pytest.approx(spreads[0][1], rel=0.02)
    assert spreads[1][0] == pytest.approx(spreads[1][2], rel=0.02)


def ramp_map(*sizes):
    """As many channels as axes, each the coordinate of the pixels' centres along its axis."""
    axes = [(2 * torch.arange(n) + 1) / n - 1 for n in sizes]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"))[None]


@pytest.mark.parametrize("sizes", [(8, 12), (9, 6, 13)])
def test_sampling_a_ramp_gives_the_coordinate(sizes):
    points = torch.rand(1, 500, len(sizes)) * 2 - 1
    reach = 1 - 1 / torch.tensor(sizes)  # centres of the outermost pixels; beyond them maps are constant
    expected = torch.minimum(torch.maximum(points, -reach), reach)
    torch.testing.assert_close(sample(ramp_map(*sizes), points), expected, atol=1e-5, rtol=0)


def test_sampling_at_a_voxel_centre_gives_the_voxel():
    maps = torch.rand(2, 3, 4, 5, 6)
    z, y, x = 1, 4, 2
    at = torch.tensor([(2 * z + 1) / 4 - 1, (2 * y + 1) / 5 - 1, (2 * x + 1) / 6 - 1])
    torch.testing.assert_close(sample(maps, at.expand(2, 1, 3))[:, 0], maps[:, :, z, y, x], atol=1e-6, rtol=1e-5)


def test_a_map_and_one_of_half_its_size_have_the_same_coordinates():
    fine = ramp_map(16, 8, 8)
    coarse = torch.nn.functional.avg_pool3d(fine, 2)
    points = 0.7 * (2 * torch.rand(1, 100, 3) - 1)
    torch.testing.assert_close(sample(coarse, points), sample(fine, points), atol=1e-5, rtol=0)


def test_the_teacher_takes_points_as_z_y_x_between_the_outer_faces():
    network = build_ct_teacher()
    maps = torch.zeros(1, 8, 8, 16, 24)
    maps[:, :3] = ramp_map(8, 16, 24)
    with torch.no_grad():
        network.heads[-1].weight.copy_(torch.eye(64, 8))
        network.heads[-1].bias.zero_()
        points = 0.8 * (2 * torch.rand(1, 50, 3) - 1)
        features = network.query([maps], points)[1]
    torch.testing.assert_close(features[..., :3], points, atol=1e-5, rtol=0)


def test_the_student_takes_pixels_as_row_column_between_the_edges_each_view_its_own():
    network = build_two_view_student()
    maps = torch.zeros(1, 2, 64, 16, 32)
    maps[:, 0, :2] = ramp_map(16, 32)
    maps[:, 1, :2] = 10 * ramp_map(16, 32)
    pixels = 0.9 * (2 * torch.rand(1, 2, 50, 2) - 1)
    weight = torch.zeros(64, 128)
    weight[[0, 1, 2, 3], [0, 1, 64, 65]] = 1
    with torch.no_grad():
        network.project.weight.copy_(weight)
        features = network.query([maps], pixels)[1][0]
    expected = torch.cat([pixels[:, 0], 10 * pixels[:, 1]], dim=-1)
    torch.testing.assert_close(features[..., :4], expected, atol=1e-5, rtol=0)


def test_a_head_of_kernel_one_after_sampling_is_that_head_before_it():
    network = build_ct_teacher()
    volume, points = inputs("teacher")
    maps = network.encode(volume)
    before = network.heads[-1](maps[-1].movedim(1, -1)).movedim(-1, 1)
    torch.testing.assert_close(network.query(maps, points)[1], sample(before, points), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda: build_ct_teacher().encode(torch.rand(1, 1, 16, 12, 16)), r"multiples of  8\n.*\(16, 12, 16\)"),
        (lambda: build_two_view_student().encode(torch.rand(1, 2, 2, 32, 40)), r"multiples of  16\n.*\(32, 40\)"),
        (partial(sample, torch.rand(1, 2, 8, 8), torch.rand(1, 5, 3)), r"as many coordinates as they have axes"),
    ],
)
def test_what_does_not_fit_is_refused_with_both_values(call, told):
    with pytest.raises(DimensionError, match=told):
        call()
