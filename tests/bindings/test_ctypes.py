# test_ctypes.py - the library driven from Python, through ctypes alone: nothing here reads a header.
# SPDX-License-Identifier: MIT
#
# usage: test_ctypes.py PATH/TO/libgradus.so
#
# Needs the standard library and NumPy. Ops are listed, found and called by name; their attributes
# are set by name, from keywords or as JSON; gradients are compared with NumPy's own.
import ctypes as c
import json
import sys
import unittest

import numpy as np

MAX_RANK = 8


class Shape(c.Structure):
    _fields_ = [("rank", c.c_int), ("dim", c.c_int64 * MAX_RANK)]

    @classmethod
    def of(cls, sizes):
        return cls(len(sizes), (c.c_int64 * MAX_RANK)(*sizes))


DTYPES = [np.float32, np.float64, np.int64, np.uint8, np.bool_]
P, S, I = c.c_void_p, c.c_char_p, c.c_int
LIST = c.POINTER(c.c_void_p)
SIGNATURES = {
    "gr_ops_json": (c.c_size_t, [P, S, c.c_size_t]),
    "gr_op_count": (I, []),
    "gr_op_at": (P, [I]),
    "gr_op_find": (P, [S]),
    "gr_graph_new": (P, []),
    "gr_graph_free": (None, [P]),
    "gr_graph_reset": (None, [P]),
    "gr_graph_error": (S, [P]),
    "gr_from_data": (P, [P, I, Shape, P]),
    "gr_data": (P, [P]),
    "gr_item": (c.c_double, [P]),
    "gr_dtype_of": (I, [P]),
    "gr_shape_of": (c.POINTER(Shape), [P]),
    "gr_attrs_new": (P, [P]),
    "gr_attrs_free": (None, [P]),
    "gr_attrs_error": (S, [P]),
    "gr_attrs_set_ints": (I, [P, S, c.POINTER(c.c_int64), I]),
    "gr_attrs_set_numbers": (I, [P, S, c.POINTER(c.c_double), I]),
    "gr_attrs_set_text": (I, [P, S, S]),
    "gr_apply_attrs": (P, [P, P, LIST, I, P]),
    "gr_apply_json": (P, [P, S, LIST, I, S]),
    "gr_output": (P, [P, I]),
    "gr_grad": (I, [P, LIST, I, LIST]),
    "gr_backward": (I, [P]),
    "gr_param_new": (P, [S, I, Shape, P]),
    "gr_param_release": (None, [P]),
    "gr_param_grad": (P, [P]),
    "gr_param_write": (P, [P]),
    "gr_param_clear_grad": (None, [P]),
    "gr_use": (P, [P, P]),
}


def load(path):
    lib = c.CDLL(path)
    for name, (result, arguments) in SIGNATURES.items():
        function = getattr(lib, name)
        function.restype, function.argtypes = result, arguments
    return lib


# --- a binding in fifty lines ---


class Failed(Exception):
    pass


def pointers(tensors):
    return (c.c_void_p * max(len(tensors), 1))(*tensors)


def attributes(op, values):
    a = lib.gr_attrs_new(op)
    for name, value in values.items():
        if isinstance(value, str):
            lib.gr_attrs_set_text(a, name.encode(), value.encode())
            continue
        array = np.atleast_1d(value)
        n, floating = len(array), array.dtype.kind == "f"
        array = np.ascontiguousarray(array, np.float64 if floating else np.int64)
        kind = c.c_double if floating else c.c_int64
        set_values = lib.gr_attrs_set_numbers if floating else lib.gr_attrs_set_ints
        set_values(a, name.encode(), array.ctypes.data_as(c.POINTER(kind)), n)
    return a


class Graph:
    def __init__(self):
        self.g = lib.gr_graph_new()

    def __del__(self):
        lib.gr_graph_free(self.g)

    def check(self):
        error = lib.gr_graph_error(self.g)
        if error:
            raise Failed(error.decode())

    def tensor(self, array):
        array = np.ascontiguousarray(array)
        dtype = DTYPES.index(array.dtype.type)
        return lib.gr_from_data(self.g, dtype, Shape.of(array.shape), array.ctypes.data)

    def array(self, t):
        data, shape = lib.gr_data(t), lib.gr_shape_of(t).contents
        self.check()
        dtype = np.dtype(DTYPES[lib.gr_dtype_of(t)])
        sizes = tuple(shape.dim[: shape.rank])
        n = int(np.prod(sizes)) * dtype.itemsize
        return np.frombuffer(c.string_at(data, n), dtype).reshape(sizes)

    def apply(self, name, *inputs, **values):
        op = lib.gr_op_find(name.encode())
        if not op:
            raise Failed(f"no op is called {name}")
        a = attributes(op, values)
        y = lib.gr_apply_attrs(self.g, op, pointers(inputs), len(inputs), a)
        lib.gr_attrs_free(a)
        self.check()
        return y

    def grad(self, y, xs):
        dx = pointers([None] * len(xs))
        lib.gr_grad(y, pointers(xs), len(xs), dx)
        self.check()
        return list(dx)


# --- the tests ---

random = np.random.default_rng(7)


def numerical_gradient(f, x, h=1e-6):
    """Of the sum of f, by central differences."""
    dx = np.zeros_like(x)
    for i in np.ndindex(x.shape):
        above, below = x.copy(), x.copy()
        above[i] += h
        below[i] -= h
        dx[i] = (f(above).sum() - f(below).sum()) / (2 * h)
    return dx


def conv2d(x, w, stride, padding):
    x = np.pad(x, ((0, 0), (0, 0), (padding[0],) * 2, (padding[1],) * 2))
    windows = np.lib.stride_tricks.sliding_window_view(x, w.shape[2:], axis=(2, 3))
    return np.einsum("ncijpq,ocpq->noij", windows[:, :, :: stride[0], :: stride[1]], w)


def softmax(x, axis):
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


def layer_norm(x, eps):
    mean, variance = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
    return (x - mean) / np.sqrt(variance + eps)


X, W = random.normal(size=(2, 3, 6, 5)), random.normal(size=(4, 3, 3, 2))
A, B, POSITIVE = random.normal(size=(3, 4)), random.normal(size=(4, 5)), random.uniform(1, 2, (3, 4))
COLUMNS = np.array([2, 0, 2])

# op, floating inputs, attributes, the same in NumPy
CASES = [
    ("tanh", [A], {}, np.tanh),
    ("mul", [A, POSITIVE], {}, np.multiply),
    ("matmul", [A, B], {}, np.matmul),
    ("conv2d", [X, W], {"stride": [2, 1], "padding": [1, 0]},
     lambda x, w: conv2d(x, w, (2, 1), (1, 0))),
    ("softmax", [A], {"axis": 0}, lambda x: softmax(x, 0)),
    ("log_softmax", [A], {"axis": -1}, lambda x: np.log(softmax(x, -1))),
    ("einsum", [A, B], {"equation": "ij,jk->ki"}, lambda x, y: np.einsum("ij,jk->ki", x, y)),
    ("sum", [X], {"axes": [1, 3], "keepdim": True}, lambda x: x.sum((1, 3), keepdims=True)),
    ("reshape", [A], {"shape": [2, 6]}, lambda x: x.reshape(2, 6)),
    ("permute", [X], {"axes": [2, 0, 3, 1]}, lambda x: x.transpose(2, 0, 3, 1)),
    ("leaky_relu", [A], {"slope": 0.2}, lambda x: np.where(x > 0, x, 0.2 * x)),
    ("pad", [A], {"before": [1, 0], "after": [0, 2], "value": 3.0},
     lambda x: np.pad(x, ((1, 0), (0, 2)), constant_values=3)),
    ("layer_norm", [A], {"shape": [4], "eps": 1e-3}, lambda x: layer_norm(x, 1e-3)),
    ("clamp", [A], {"min": -0.5, "max": 0.5}, lambda x: np.clip(x, -0.5, 0.5)),
    ("huber", [A, POSITIVE], {"reduction": "sum", "delta": 1.0},
     lambda x, t: np.where(abs(x - t) <= 1, (x - t) ** 2 / 2, abs(x - t) - 0.5).sum()),
    ("cumsum", [A], {"axis": 1, "reverse": True}, lambda x: x[:, ::-1].cumsum(1)[:, ::-1]),
    ("concat", [A, POSITIVE, A], {"axis": 1}, lambda *x: np.concatenate(x, 1)),
    ("cholesky", [np.array([[4.0, 1.0], [1.0, 3.0]])], {}, np.linalg.cholesky),
]


class Listing(unittest.TestCase):
    def ops(self):
        size = lib.gr_ops_json(None, None, 0) + 1
        text = c.create_string_buffer(size)
        lib.gr_ops_json(None, text, size)
        return json.loads(text.value)["ops"]

    def test_every_op_is_listed_and_found_by_its_name(self):
        ops = self.ops()
        self.assertEqual(len(ops), lib.gr_op_count())
        for i, op in enumerate(ops):
            self.assertEqual(lib.gr_op_find(op["name"].encode()), lib.gr_op_at(i), op["name"])

    def test_entries_say_what_a_caller_needs(self):
        ops = {op["name"]: op for op in self.ops()}
        self.assertEqual([a["name"] for a in ops["conv2d"]["attributes"]][:2], ["stride", "padding"])
        self.assertEqual(ops["conv2d"]["attributes"][0]["count"], 2)
        self.assertEqual(ops["conv2d"]["inputs"], 3)
        self.assertIn("sum", ops["huber"]["attributes"][0]["values"])
        self.assertTrue(ops["tanh"]["differentiable"])
        self.assertFalse(ops["argmax"]["differentiable"])
        self.assertGreaterEqual(sum(op["differentiable"] for op in ops.values()), 180)


class Calling(unittest.TestCase):
    def test_values_are_numpys(self):
        for name, inputs, values, expected in CASES:
            with self.subTest(op=name):
                g = Graph()
                y = g.array(g.apply(name, *[g.tensor(x) for x in inputs], **values))
                np.testing.assert_allclose(y, expected(*inputs), rtol=1e-12, atol=1e-12)

    def test_gradients_are_those_of_differences(self):
        for name, inputs, values, f in CASES:
            if name == "cholesky":  # of symmetric matrices only
                continue
            with self.subTest(op=name):
                g = Graph()
                xs = [g.tensor(x) for x in inputs]
                y = g.apply(name, *xs, **values)
                y = g.apply("mul", y, y)
                for i, dx in enumerate(g.grad(y, xs)):
                    def of_one(x, i=i):
                        return f(*inputs[:i], x, *inputs[i + 1 :]) ** 2
                    expected = numerical_gradient(of_one, inputs[i])
                    np.testing.assert_allclose(g.array(dx), expected, rtol=1e-6, atol=1e-6)

    def test_gradients_can_be_differentiated_again(self):
        g = Graph()
        x = g.tensor(A)
        (dx,) = g.grad(g.apply("tanh", x), [x])
        (ddx,) = g.grad(dx, [x])
        y = np.tanh(A)
        np.testing.assert_allclose(g.array(ddx), -2 * y * (1 - y * y), rtol=1e-12)

    def test_integers_and_further_outputs_come_through(self):
        g = Graph()
        x = g.tensor(A)
        picked = g.apply("index_select", x, g.tensor(COLUMNS), axis=1)
        np.testing.assert_array_equal(g.array(picked), A[:, COLUMNS])
        top = g.apply("topk", x, k=2, axis=1)
        np.testing.assert_array_equal(g.array(top), -np.sort(-A, 1)[:, :2])
        np.testing.assert_array_equal(g.array(lib.gr_output(top, 1)), np.argsort(-A, 1)[:, :2])

    def test_attributes_may_be_json(self):
        g = Graph()
        xs = pointers([g.tensor(X), g.tensor(W)])
        y = lib.gr_apply_json(g.g, b"conv2d", xs, 2, json.dumps({"stride": [2, 1]}).encode())
        np.testing.assert_allclose(g.array(y), conv2d(X, W, (2, 1), (0, 0)), rtol=1e-12)

    def test_errors_say_what_was_expected(self):
        for expected, name, values in [
            ("no attribute 'stride'", "tanh", {"stride": 2}),
            ("attribute stride: expected 2 of int, got 3 values", "conv2d", {"stride": [1, 1, 1]}),
            ("attribute axis: expected int, got floating numbers", "softmax", {"axis": 0.5}),
            ("one of mean, sum, none, got 'average'", "huber", {"reduction": "average"}),
            ("axis", "softmax", {"axis": 9}),
        ]:
            g = Graph()
            with self.assertRaises(Failed) as caught:
                g.apply(name, g.tensor(A), **values)
            self.assertIn(expected, str(caught.exception))


class Training(unittest.TestCase):
    def parameter(self, name, array):
        p = lib.gr_param_new(name, DTYPES.index(np.float32), Shape.of(array.shape),
                             np.ascontiguousarray(array, np.float32).ctypes.data)
        self.addCleanup(lib.gr_param_release, p)
        return p, array.shape

    def step(self, p, shape, rate):
        """One step of gradient descent, in the parameter's own memory."""
        def view(address):
            floats = c.cast(address, c.POINTER(c.c_float))
            return np.ctypeslib.as_array(floats, shape)
        view(lib.gr_param_write(p))[...] -= rate * view(lib.gr_param_grad(p))
        lib.gr_param_clear_grad(p)

    def test_a_network_learns(self):
        parameters = [self.parameter(b"w1", random.normal(size=(2, 8))),
                      self.parameter(b"b1", np.zeros(8)),
                      self.parameter(b"w2", random.normal(size=(8, 1)) / 3)]
        x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32) * 2 - 1
        t = np.array([[0], [1], [1], [0]], np.float32)
        g, losses = Graph(), []
        for _ in range(400):
            w1, b1, w2 = (lib.gr_use(g.g, p) for p, _ in parameters)
            hidden = g.apply("tanh", g.apply("add", g.apply("matmul", g.tensor(x), w1), b1))
            loss = g.apply("mse", g.apply("matmul", hidden, w2), g.tensor(t))
            lib.gr_backward(loss)
            losses.append(lib.gr_item(loss))
            g.check()
            for p, shape in parameters:
                self.step(p, shape, 0.2)
            lib.gr_graph_reset(g.g)
        self.assertGreater(losses[0], 0.1)
        self.assertLess(losses[-1], 0.01)


if __name__ == "__main__":
    lib = load(sys.argv.pop(1))
    unittest.main()
