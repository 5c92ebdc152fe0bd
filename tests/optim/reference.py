#!/usr/bin/env python3
"""Writes trajectories.h: what PyTorch's optimizers and schedules do, in float64.

    python3 tests/optim/reference.py >tests/optim/trajectories.h

To be run by hand, with PyTorch 1.13; the tests read the header only. Each optimizer makes 20 steps on
the weights w [2] and v [1], down the loss below; Lion, which PyTorch has not, is written out, and so
are constraints, as a user of PyTorch would.
"""
# SPDX-License-Identifier: MIT
import math

import torch
from torch.nn.utils import clip_grad_norm_, clip_grad_value_
from torch.optim import lr_scheduler as schedules

STEPS = 20
torch.set_default_dtype(torch.float64)  # else NAdam's product of momenta is kept in float32


def valley(w, v):
    """Smooth, with some curvature of either sign and a term that joins w and v."""
    a, b = torch.tensor([0.5, 1.0]), torch.tensor([0.1, -0.3])
    return (a * w * w + b * w + 0.2 * torch.sin(3 * w)).sum() + (0.4 * v * v).sum() + 0.3 * w.sum() * v.sum()


def banana(w, v):
    """Rosenbrock's, less steep (it would magnify what is rounded), and v drawn to w[1]."""
    return (1 - w[0]) ** 2 + 20 * (w[1] - w[0] ** 2) ** 2 + (v[0] - w[1]) ** 2


class Lion(torch.optim.Optimizer):
    """w -= lr (sign(beta1 m + (1 - beta1) g) + decay w), m = beta2 m + (1 - beta2) g"""

    def __init__(self, params, lr=1e-4, betas=(0.9, 0.99), weight_decay=0.0):
        super().__init__(params, dict(lr=lr, betas=betas, weight_decay=weight_decay))

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            beta1, beta2 = group["betas"]
            for p in group["params"]:
                m = self.state[p].setdefault("exp_avg", torch.zeros_like(p))
                p -= group["lr"] * ((beta1 * m + (1 - beta1) * p.grad).sign() + group["weight_decay"] * p)
                m.mul_(beta2).add_(p.grad, alpha=1 - beta2)


def run(make, loss=valley, before=None, after=None, schedule=None):
    """The weights after each step. before(params), after(params): around opt.step()."""
    w, v = torch.tensor([1.0, -2.0], requires_grad=True), torch.tensor([0.5], requires_grad=True)
    opt = make([w, v])
    schedule = schedule and schedule(opt)

    def closure():
        opt.zero_grad()
        value = loss(w, v)
        value.backward()
        return value

    rows = []
    for _ in range(STEPS):
        if isinstance(opt, torch.optim.LBFGS):
            opt.step(closure)
        else:
            closure()
            if before:
                before([w, v])
            opt.step()
        if after:
            with torch.no_grad():
                after([w, v])
        if schedule:
            schedule.step()
        rows.append(w.tolist() + v.tolist())
    return rows


def negated(params):
    for p in params:
        p.grad.neg_()


def l1(params):
    for p in params:
        p.grad.add_(0.1 * p.detach().sign())


def non_negative(params):
    for p in params:
        p.clamp_(min=0)


def unit_norm(params):
    for p in params:
        p.div_(p.norm())


def max_norm(params):
    for p in params:
        p.mul_(torch.clamp(1.2 / p.norm(), max=1))


def groups(params):
    w, v = params
    return torch.optim.SGD([{"params": [w]}, {"params": [v], "lr": 0.1, "momentum": 0.5, "weight_decay": 0.2}],
                           lr=0.03, momentum=0.9, weight_decay=0.01)


O = torch.optim
OPTIMIZERS = {
    "sgd": dict(make=lambda p: O.SGD(p, lr=0.05)),
    "sgd, weight decay": dict(make=lambda p: O.SGD(p, lr=0.05, weight_decay=0.2)),
    "sgd, maximize": dict(make=lambda p: O.SGD(p, lr=0.02, maximize=True)),
    "sgd, momentum": dict(make=lambda p: O.SGD(p, lr=0.05, momentum=0.9)),
    "sgd, dampening": dict(make=lambda p: O.SGD(p, lr=0.05, momentum=0.9, dampening=0.3, weight_decay=0.1)),
    "sgd, nesterov": dict(make=lambda p: O.SGD(p, lr=0.05, momentum=0.8, nesterov=True, weight_decay=0.1)),
    "sgd, nesterov, maximize": dict(make=lambda p: O.SGD(p, lr=0.005, momentum=0.8, nesterov=True, maximize=True)),
    "adagrad": dict(make=lambda p: O.Adagrad(p)),
    "adagrad, all": dict(make=lambda p: O.Adagrad(p, lr=0.3, lr_decay=0.1, weight_decay=0.1,
                                                  initial_accumulator_value=0.5, eps=1e-3)),
    "adagrad, maximize": dict(make=lambda p: O.Adagrad(p, lr=0.1, maximize=True)),
    "adadelta": dict(make=lambda p: O.Adadelta(p)),
    "adadelta, all": dict(make=lambda p: O.Adadelta(p, lr=2, rho=0.7, eps=1e-3, weight_decay=0.1)),
    "adadelta, maximize": dict(make=lambda p: O.Adadelta(p, maximize=True)),
    "rmsprop": dict(make=lambda p: O.RMSprop(p)),
    "rmsprop, centered": dict(make=lambda p: O.RMSprop(p, lr=0.02, alpha=0.9, centered=True)),
    "rmsprop, momentum": dict(make=lambda p: O.RMSprop(p, lr=0.01, momentum=0.5)),
    "rmsprop, all": dict(make=lambda p: O.RMSprop(p, lr=0.02, alpha=0.8, eps=1e-3, weight_decay=0.1, momentum=0.7,
                                                  centered=True)),
    "rmsprop, maximize": dict(make=lambda p: O.RMSprop(p, maximize=True)),
    "adam": dict(make=lambda p: O.Adam(p)),
    "adam, all": dict(make=lambda p: O.Adam(p, lr=0.1, betas=(0.8, 0.95), eps=1e-3, weight_decay=0.1)),
    "adam, amsgrad": dict(make=lambda p: O.Adam(p, lr=0.3, betas=(0.9, 0.7), amsgrad=True, weight_decay=0.1)),
    "adam, maximize": dict(make=lambda p: O.Adam(p, lr=0.1, maximize=True)),
    "adamw": dict(make=lambda p: O.AdamW(p)),
    "adamw, all": dict(make=lambda p: O.AdamW(p, lr=0.1, betas=(0.8, 0.95), eps=1e-3, weight_decay=0.3)),
    "adamw, amsgrad, maximize": dict(make=lambda p: O.AdamW(p, lr=0.1, betas=(0.9, 0.7), weight_decay=0.2,
                                                            amsgrad=True, maximize=True)),
    "adamax": dict(make=lambda p: O.Adamax(p)),
    "adamax, all": dict(make=lambda p: O.Adamax(p, lr=0.2, betas=(0.8, 0.6), eps=1e-3, weight_decay=0.1)),
    "adamax, maximize": dict(make=lambda p: O.Adamax(p, lr=0.1, maximize=True)),
    # The one of both implementations in 1.13 that multiplies mu_t once: the paper's, and later versions'.
    "nadam": dict(make=lambda p: O.NAdam(p, foreach=True)),
    "nadam, all": dict(make=lambda p: O.NAdam(p, lr=0.1, betas=(0.8, 0.95), eps=1e-3, weight_decay=0.1,
                                              momentum_decay=0.05, foreach=True)),
    "nadam, maximize": dict(make=lambda p: O.NAdam(p, lr=0.1, foreach=True), before=negated),
    "radam": dict(make=lambda p: O.RAdam(p)),
    "radam, all": dict(make=lambda p: O.RAdam(p, lr=0.1, betas=(0.8, 0.95), eps=1e-3, weight_decay=0.1)),
    "radam, maximize": dict(make=lambda p: O.RAdam(p, lr=0.1), before=negated),
    "rprop": dict(make=lambda p: O.Rprop(p)),
    "rprop, all": dict(make=lambda p: O.Rprop(p, lr=0.2, etas=(0.4, 1.5), step_sizes=(0.05, 0.6))),
    "rprop, maximize": dict(make=lambda p: O.Rprop(p, maximize=True)),
    "lion": dict(make=lambda p: Lion(p)),
    "lion, all": dict(make=lambda p: Lion(p, lr=0.05, betas=(0.8, 0.95), weight_decay=0.1)),
    "lion, maximize": dict(make=lambda p: Lion(p, lr=0.05), before=negated),
    "lbfgs": dict(make=lambda p: O.LBFGS(p, lr=0.5, max_iter=2), loss=valley),
    "lbfgs, defaults": dict(make=lambda p: O.LBFGS(p), loss=valley),
    "lbfgs, short history": dict(make=lambda p: O.LBFGS(p, lr=0.3, max_iter=1, max_eval=7, history_size=2), loss=valley),
    "lbfgs, tolerances": dict(make=lambda p: O.LBFGS(p, lr=0.3, max_iter=2, tolerance_grad=1e-2, tolerance_change=1e-3)),
    "lbfgs, few evaluations": dict(make=lambda p: O.LBFGS(p, max_iter=9, max_eval=3, line_search_fn="strong_wolfe"),
                                   loss=banana),
    "lbfgs, strong wolfe": dict(make=lambda p: O.LBFGS(p, max_iter=1, line_search_fn="strong_wolfe"), loss=banana),
    "lbfgs, strong wolfe, all": dict(make=lambda p: O.LBFGS(p, lr=5, max_iter=2, history_size=3,
                                                            line_search_fn="strong_wolfe"), loss=banana),
    "clip by norm": dict(make=lambda p: O.SGD(p, lr=0.1, momentum=0.5), before=lambda p: clip_grad_norm_(p, 0.8)),
    "clip by value": dict(make=lambda p: O.Adam(p, lr=0.1), before=lambda p: clip_grad_value_(p, 0.4)),
    "l1": dict(make=lambda p: O.SGD(p, lr=0.05), before=l1),
    "groups": dict(make=groups),
    "non-negative": dict(make=lambda p: O.Adam(p, lr=0.2), after=non_negative),
    "unit norm": dict(make=lambda p: O.SGD(p, lr=0.1, momentum=0.9), after=unit_norm),
    "max norm": dict(make=lambda p: O.SGD(p, lr=0.02, maximize=True), after=max_norm),
    "one cycle, sgd": dict(make=lambda p: O.SGD(p, lr=0.1, momentum=0.9),
                           schedule=lambda o: schedules.OneCycleLR(o, max_lr=0.1, total_steps=STEPS + 1)),
    "one cycle, adam": dict(make=lambda p: O.Adam(p, lr=0.1),
                            schedule=lambda o: schedules.OneCycleLR(o, max_lr=0.1, total_steps=STEPS + 1,
                                                                    base_momentum=0.7)),
}

RATES = 40
S = schedules
SCHEDULES = {
    "step": lambda o: S.StepLR(o, 7, gamma=0.3),
    "multi-step": lambda o: S.MultiStepLR(o, [3, 11, 12, 30], gamma=0.4),
    "exponential": lambda o: S.ExponentialLR(o, 0.9),
    "inverse time": lambda o: S.LambdaLR(o, lambda t: 1 / (1 + 0.2 * t)),
    "polynomial": lambda o: S.PolynomialLR(o, total_iters=25, power=1.7),
    "linear": lambda o: S.LinearLR(o, start_factor=0.9, end_factor=0.2, total_iters=17),
    "warm-up": lambda o: S.LinearLR(o, start_factor=0.1, total_iters=9),
    "cosine": lambda o: S.CosineAnnealingLR(o, 15, eta_min=0.02),
    "cosine, restarts": lambda o: S.CosineAnnealingWarmRestarts(o, 6, eta_min=0.01),
    "cosine, longer restarts": lambda o: S.CosineAnnealingWarmRestarts(o, 5, T_mult=2, eta_min=0.01),
    "one cycle": lambda o: S.OneCycleLR(o, max_lr=0.5, total_steps=RATES),
    "one cycle, three phases": lambda o: S.OneCycleLR(o, max_lr=0.5, total_steps=RATES, pct_start=0.4, three_phase=True,
                                                      anneal_strategy="linear", div_factor=10, final_div_factor=100,
                                                      base_momentum=0.6, max_momentum=0.8),
    "sequence": lambda o: S.SequentialLR(o, [S.LinearLR(o, start_factor=0.1, total_iters=8),
                                             S.CosineAnnealingLR(o, 20, eta_min=0.05),
                                             S.StepLR(o, 4, gamma=0.5)], milestones=[8, 28]),
}

PLATEAUS = {
    "plateau": dict(),
    "plateau, impatient": dict(factor=0.5, patience=2, cooldown=3, min_lr=0.01),
    "plateau, absolute": dict(factor=0.5, patience=3, threshold=0.05, threshold_mode="abs"),
    "plateau, largest": dict(mode="max", factor=0.5, patience=3, threshold=0.02),
    "plateau, largest, absolute": dict(mode="max", factor=0.5, patience=0, threshold=0.02, threshold_mode="abs"),
}


def measure(i):
    return 1 / (1 + 0.4 * i) + 0.3 * math.sin(1.3 * i)


def rates(make):
    opt = torch.optim.SGD([torch.zeros(1)], lr=0.5, momentum=0.9)
    schedule = make(opt)
    rows = []
    for i in range(RATES):
        rows.append([opt.param_groups[0]["lr"], opt.param_groups[0]["momentum"]])
        opt.step()
        if i < RATES - 1:
            schedule.step()
    return rows


def plateau_rates(options):
    opt = torch.optim.SGD([torch.zeros(1)], lr=0.5)
    schedule = S.ReduceLROnPlateau(opt, **options)
    rows = []
    for i in range(RATES):
        schedule.step(measure(i))
        rows.append([opt.param_groups[0]["lr"]])
    return rows


def table(comment, declaration, entries):
    print(f"\n/* {comment} */\n{declaration} = {{")
    for name, rows in entries:
        print(f'    {{"{name}",\n     {{')
        for row in rows:
            print("         {" + ", ".join(repr(x) for x in row) + "},")
        print("     }},")
    print("};")


def main():
    print("/* trajectories.h - what PyTorch's optimizers and schedules do: written by reference.py. */")
    print("/* SPDX-License-Identifier: MIT */")
    table("w[0], w[1], v[0] after each step.",
          f"static const struct {{\n    const char *name;\n    double weights[{STEPS}][3];\n}} trajectories[]",
          [(name, run(**case)) for name, case in OPTIMIZERS.items()])
    table("Rate and momentum of each step, from 0.5 and 0.9.",
          f"static const struct {{\n    const char *name;\n    double rates[{RATES}][2];\n}} rates[]",
          [(name, rates(make)) for name, make in SCHEDULES.items()])
    table("The rate after each measure 1 / (1 + 0.4 i) + 0.3 sin(1.3 i), from 0.5.",
          f"static const struct {{\n    const char *name;\n    double rates[{RATES}][1];\n}} plateaus[]",
          [(name, plateau_rates(options)) for name, options in PLATEAUS.items()])


main()
