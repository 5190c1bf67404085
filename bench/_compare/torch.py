"""Times PyTorch for package bench.

    python3 -c SOURCE THREADS

prints {"ready": true} once torch is imported, then answers each line, a JSON
object, with {"ns": X}, the time of a call:

    {"setups": [CODE, ...], "run": CODE}  make this the case: of the variants that
                                          the setups prepare, keep the fastest;
                                          "peak" is the most memory since the
                                          import, in bytes
    {"min_ns": N}                         time as many calls as take N
"""
import json
import sys
import time


def sample(run, min_ns):
    calls, batch, start = 0, 1, time.perf_counter_ns()
    while True:
        for _ in range(batch):
            run()
        calls += batch
        spent = time.perf_counter_ns() - start
        if spent >= min_ns:
            return spent / calls
        if spent < min_ns / 8:
            batch *= 2


def first(run):
    """The least of three samples, or of fewer that take two seconds."""
    best, start = float("inf"), time.perf_counter_ns()
    for _ in range(3):
        best = min(best, sample(run, 5e6))
        if time.perf_counter_ns() - start > 2e9:
            break
    return best


def variant(setup, run):
    names = {"training": training}
    exec("import torch\nimport torch.nn.functional as F\n" + setup, names)
    exec("def run():\n" + "".join("    " + line + "\n" for line in run.splitlines()), names)
    return names["run"]


def peak():
    """The most bytes this process had in memory; 0 where the system does not tell."""
    try:
        with open("/proc/self/status") as status:
            for line in status:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) << 10
    except OSError:
        pass
    return 0


def squeeze(c, reduction):
    """Squeeze and excitation of c channels."""
    import torch
    from torch import nn

    class Squeeze(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc1, self.fc2 = nn.Linear(c, c // reduction), nn.Linear(c // reduction, c)

        def forward(self, x):
            a = torch.sigmoid(self.fc2(torch.relu(self.fc1(x.mean((2, 3))))))
            return x * a[:, :, None, None]

    return Squeeze()


def se_resnet18(classes):
    """ResNet-18 for small images with squeeze and excitation in each block."""
    return residual(classes, [64, 128, 256, 512], 2, inside=lambda c: squeeze(c, 16))


def se_resnet20(classes):
    """ResNet-20 with squeeze and excitation behind the last block."""
    return residual(classes, [16, 32, 64], 3, last=lambda c: squeeze(c, 4))


def residual(classes, widths, blocks, inside=None, last=None):
    """A residual network of basic blocks; inside and last make attention."""
    import torch
    from torch import nn

    class Block(nn.Module):
        def __init__(self, c, k, stride):
            super().__init__()
            self.conv1 = nn.Conv2d(c, k, 3, stride, 1, bias=False)
            self.bn1 = nn.BatchNorm2d(k)
            self.conv2 = nn.Conv2d(k, k, 3, 1, 1, bias=False)
            self.bn2 = nn.BatchNorm2d(k)
            self.se = inside(k) if inside else None
            self.shortcut = None
            if stride != 1 or c != k:
                self.shortcut = nn.Sequential(nn.Conv2d(c, k, 1, stride, bias=False), nn.BatchNorm2d(k))

        def forward(self, x):
            y = torch.relu_(self.bn1(self.conv1(x)))
            y = self.bn2(self.conv2(y))
            if self.se:
                y = self.se(y)
            y += self.shortcut(x) if self.shortcut else x
            return torch.relu_(y)

    c = widths[0]
    layers = [nn.Conv2d(3, c, 3, 1, 1, bias=False), nn.BatchNorm2d(c), nn.ReLU(inplace=True)]
    for stage, k in enumerate(widths):
        for i in range(blocks):
            layers.append(Block(c, k, 2 if stage > 0 and i == 0 else 1))
            c = k
    if last:
        layers.append(last(c))
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(c, classes))


def vgg16_bn(classes):
    """VGG-16 with batch normalisation, averaged for one linear layer."""
    from torch import nn

    layers, c = [], 3
    for stage, n in enumerate([2, 2, 3, 3, 3]):
        k = min(64 << stage, 512)
        for _ in range(n):
            layers += [nn.Conv2d(c, k, 3, 1, 1), nn.BatchNorm2d(k), nn.ReLU(inplace=True)]
            c = k
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(c, classes))


def training(name, batch, size, classes, layout):
    """A training step of a network on noise, with SGD and momentum."""
    import torch

    models = {"se-resnet18": se_resnet18, "se-resnet20": se_resnet20, "vgg16-bn": vgg16_bn}
    model = models[name](classes).to(memory_format=layout).train()
    images = torch.randn(batch, 3, size, size).to(memory_format=layout)
    labels = torch.randint(classes, (batch,))
    optimizer = torch.optim.SGD(model.parameters(), 1e-3, 0.9, weight_decay=5e-4)

    def step():
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(images), labels).backward()
        optimizer.step()

    return step


def answer(message):
    print(json.dumps(message), flush=True)


def main():
    try:
        import torch
    except ImportError:
        answer({"ready": False})
        return
    torch.set_num_threads(int(sys.argv[1]))
    imported = peak()
    answer({"ready": True})
    run = None
    for line in sys.stdin:
        request = json.loads(line)
        if "setups" not in request:
            answer({"ns": sample(run, request["min_ns"])})
            continue
        best, run = float("inf"), None
        for setup in request["setups"]:
            candidate = variant(setup, request["run"])
            candidate()
            ns = first(candidate)
            if ns < best:
                best, run = ns, candidate
            del candidate
        answer({"ns": best, "peak": peak() - imported})


main()
