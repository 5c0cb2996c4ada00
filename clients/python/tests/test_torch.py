"""lossd.torch, held to PyTorch's own losses."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
import lossd  # noqa: E402

F = torch.nn.functional


@pytest.fixture(params=["local", "remote"])
def mode(request, client):
    return request.param


def both(criterion, own, *tensors):
    """The loss and the gradient of the first tensor, of a criterion and of the framework's own."""
    found = []
    for function in (criterion, own):
        first = tensors[0].detach().clone().requires_grad_()
        value = function(first, *tensors[1:])
        value.backward()
        found.append((value.detach(), first.grad))
    return found


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_has_the_gradient_of_the_frameworks_own_loss(mode, dtype):
    torch.manual_seed(0)
    logits, labels = torch.randn(16, 5, dtype=dtype), torch.randint(5, (16,))
    criterion = lossd.torch.Loss("cross_entropy", mode=mode, label_smoothing=0.1)
    (value, gradient), (want, slope) = both(criterion, lambda x, y: F.cross_entropy(x, y, label_smoothing=0.1), logits, labels)
    torch.testing.assert_close(value, want)
    torch.testing.assert_close(gradient, slope)


def test_chains_into_a_backward_pass_of_unreduced_values(mode):
    torch.manual_seed(0)
    x, y, weights = torch.randn(16, 5), torch.randn(16, 5), torch.rand(16, 5)
    criterion = lossd.torch.Loss("huber", mode=mode, reduction="none", delta=0.5)
    (value, gradient), (want, slope) = both(
        lambda p, t: (criterion(p, t) * weights).sum(),
        lambda p, t: (F.huber_loss(p, t, delta=0.5, reduction="none") * weights).sum(),
        x,
        y,
    )
    torch.testing.assert_close(value, want)
    torch.testing.assert_close(gradient, slope)


def test_differentiates_both_inputs_where_both_require_it(mode):
    x, y = (torch.randn(8, dtype=torch.float64, requires_grad=True) for _ in range(2))
    (lossd.torch.Loss("huber", mode=mode)(x, y) * 3).backward()
    torch.testing.assert_close(x.grad, -y.grad)
    assert (x.grad != 0).all()


@pytest.mark.parametrize("name", ["huber", "log_cosh", "mse"])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_passes_gradcheck(client, name, reduction):
    torch.manual_seed(1)
    x, y = (torch.randn(4, 3, dtype=torch.float64, requires_grad=True) for _ in range(2))
    assert torch.autograd.gradcheck(lossd.torch.Loss(name, mode="local", reduction=reduction), (x, y))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_computes_half_precision_in_float32(mode, dtype):
    torch.manual_seed(0)
    x, y = torch.randn(8, 4).to(dtype), torch.randn(8, 4).to(dtype)
    first = x.clone().requires_grad_()
    value = lossd.torch.Loss("huber", mode=mode)(first, y)
    assert value.dtype == torch.float32
    value.backward()
    assert first.grad.dtype == dtype
    want = x.float().requires_grad_()
    F.huber_loss(want, y.float()).backward()
    torch.testing.assert_close(first.grad, want.grad.to(dtype))


def test_weighs_rows(mode):
    x, y = torch.randn(4, requires_grad=True), torch.randn(4)
    lossd.torch.Loss("mse", mode=mode, reduction="sum")(x, y, sample_weight=torch.tensor([1.0, 0.0, 2.0, 1.0])).backward()
    torch.testing.assert_close(x.grad, 2 * (x - y).detach() * torch.tensor([1.0, 0.0, 2.0, 1.0]))


def test_computes_no_gradient_that_nobody_wants(client):
    criterion = lossd.torch.Loss("huber", mode="local")
    with torch.no_grad():
        assert not criterion(torch.randn(4, requires_grad=True), torch.randn(4)).requires_grad
    assert not criterion(torch.randn(4), torch.randn(4)).requires_grad


def test_falls_back_at_the_border_of_a_compiled_graph(client):
    criterion = lossd.torch.Loss("huber", mode="local")
    try:
        compiled = torch.compile(lambda w, x, y: criterion(x * w, y) * 2, backend="eager")
        w = torch.tensor(0.5, requires_grad=True)
        x, y = torch.randn(8), torch.randn(8)
        compiled(w, x, y).backward()
    except (RuntimeError, ImportError) as error:
        pytest.skip(f"torch.compile does not run here: {error}")
    want = torch.tensor(0.5, requires_grad=True)
    (F.huber_loss(x * want, y) * 2).backward()
    torch.testing.assert_close(w.grad, want.grad)


def test_is_what_a_remote_training_service_calls(client):
    """``forward_backward_custom(data, loss_fn)`` of a service that keeps the model, and sends log-probabilities."""

    class FakeTrainingClient:
        def forward_backward_custom(self, data, loss_fn):
            logprobs = [torch.full((len(datum["weights"]),), -0.5, requires_grad=True) for datum in data]
            loss, metrics = loss_fn(data, logprobs)
            loss.backward()
            return metrics, [own.grad for own in logprobs]

    @lossd.loss
    def policy(logprobs, old, advantages):
        ratio = lossd.exp(logprobs - old)
        return -lossd.min(ratio * advantages, lossd.clip(ratio, 0.8, 1.2) * advantages)

    criterion = lossd.torch.Loss(policy)
    fn = lossd.torch.custom_loss_fn(
        criterion,
        inputs=lambda datum, logprobs: {
            "logprobs": logprobs,
            "old": torch.full_like(logprobs, -0.5),
            "advantages": torch.tensor(datum["weights"]),
        },
    )
    metrics, gradients = FakeTrainingClient().forward_backward_custom([{"weights": [1.0, 2.0]}, {"weights": [-1.0]}], fn)
    assert metrics == {"loss": pytest.approx(-2 / 3)}
    torch.testing.assert_close(torch.cat(gradients), -torch.tensor([1.0, 2.0, -1.0]) / 3)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_copies_tensors_of_a_gpu(client):
    x = torch.randn(8, device="cuda", requires_grad=True)
    y = torch.randn(8, device="cuda")
    value = lossd.torch.Loss("huber", mode="local")(x, y)
    assert value.device.type == "cuda"
    value.backward()
    want = x.detach().clone().requires_grad_()
    F.huber_loss(want, y).backward()
    torch.testing.assert_close(x.grad, want.grad)


def test_trains_to_the_weights_of_the_frameworks_own_loss(mode):
    """Softmax regression on the iris data."""
    sklearn_data = pytest.importorskip("sklearn.datasets")
    data = sklearn_data.load_iris()
    x = torch.tensor((data.data - data.data.mean(0)) / data.data.std(0), dtype=torch.float32)
    y = torch.tensor(data.target)

    def trained(criterion):
        model = torch.nn.Linear(4, 3)
        torch.nn.init.zeros_(model.weight)
        torch.nn.init.zeros_(model.bias)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
        for _ in range(100):
            optimizer.zero_grad()
            criterion(model(x), y).backward()
            optimizer.step()
        return model.weight.detach().numpy()

    got = trained(lossd.torch.Loss("cross_entropy", mode=mode))
    np.testing.assert_allclose(got, trained(torch.nn.CrossEntropyLoss()), atol=1e-5)
