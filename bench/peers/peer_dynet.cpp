// peer_dynet.cpp - the perceptrons and the scalar chain in DyNet: mlp, tiny and chain (in float32:
// it has one type of numbers). Not yet run: written from the documentation of version 2.1 and
// compared with its headers; the sources are yours to download. One thread.
// SPDX-License-Identifier: MIT
#include "measure.h"
#include "numbers.h"

#include <dynet/dynet.h>
#include <dynet/expr.h>
#include <dynet/training.h>

#include <cmath>
#include <cstdio>
#include <cstring>
#include <exception>
#include <memory>
#include <string>
#include <vector>

namespace
{

enum { LAYERS = 3, BATCHES = 8, CHAIN = 100000 };

struct Net {
    const char *name;
    unsigned sizes[LAYERS + 1], batch;
    bool classes; // ReLU, cross-entropy, Adam; else tanh, the squared error, SGD
    float lr;
};

const Net nets[] = {
    {"mlp", {784, 512, 512, 10}, 128, true, 1e-3f},
    {"tiny", {2, 16, 16, 1}, 1, false, 1e-2f},
};

std::vector<float> uniform(uint64_t stream, size_t n, double bound)
{
    std::vector<float> x(n);
    fill_uniform(x.data(), stream, static_cast<int64_t>(n), bound);
    return x;
}

// Weights go row by row everywhere else, column by column here.
std::vector<float> transposed(const std::vector<float> &w, unsigned rows, unsigned columns)
{
    std::vector<float> t(w.size());
    for (unsigned i = 0; i < rows; i++)
        for (unsigned k = 0; k < columns; k++) t[k * rows + i] = w[i * columns + k];
    return t;
}

class Perceptron
{
  public:
    explicit Perceptron(const Net &n) : net(n)
    {
        for (unsigned l = 0; l < LAYERS; l++) add_layer(l);
        for (unsigned b = 0; b < BATCHES; b++) add_batch(b);
        if (net.classes) trainer.reset(new dynet::AdamTrainer(model, net.lr));
        else trainer.reset(new dynet::SimpleSGDTrainer(model, net.lr));
        trainer->clipping_enabled = false;
    }

    double step(unsigned batch)
    {
        dynet::ComputationGraph graph;
        dynet::Expression y = loss(graph, batch);
        const double value = dynet::as_scalar(graph.forward(y));
        graph.backward(y);
        trainer->update();
        return value;
    }

    double result()
    {
        dynet::ComputationGraph graph;
        return dynet::as_scalar(graph.forward(loss(graph, 0)));
    }

  private:
    // Named as in a sequence with activations between.
    void add_layer(unsigned l)
    {
        const unsigned in = net.sizes[l], out = net.sizes[l + 1];
        const std::string name = std::to_string(2 * l);
        weight[l] = model.add_parameters({out, in});
        bias[l] = model.add_parameters({out});
        weight[l].set_value(transposed(uniform(name_stream((name + ".weight").c_str()),
                                               size_t(out) * in, 1 / std::sqrt(double(in))),
                                       out, in));
        bias[l].set_value(uniform(name_stream((name + ".bias").c_str()), out, 0.1));
    }

    void add_batch(unsigned b)
    {
        x[b] = uniform(INPUT_STREAM + b, size_t(net.batch) * net.sizes[0], 1);
        if (!net.classes) {
            target[b] = uniform(TARGET_STREAM + b, size_t(net.batch) * net.sizes[LAYERS], 1);
            return;
        }
        std::vector<int64_t> index(net.batch);
        fill_indices(index.data(), TARGET_STREAM + b, net.batch, net.sizes[LAYERS]);
        label[b].assign(index.begin(), index.end());
    }

    dynet::Expression loss(dynet::ComputationGraph &graph, unsigned b)
    {
        dynet::Expression y = input(graph, dynet::Dim({net.sizes[0]}, net.batch), x[b]);
        for (unsigned l = 0; l < LAYERS; l++) {
            dynet::Expression w = parameter(graph, weight[l]), b0 = parameter(graph, bias[l]);
            y = dynet::affine_transform({b0, w, y});
            if (l + 1 < LAYERS) y = net.classes ? rectify(y) : tanh(y);
        }
        if (net.classes) return sum_batches(pickneglogsoftmax(y, label[b])) / float(net.batch);
        return squared_distance(y, input(graph, dynet::Dim({net.sizes[LAYERS]}), target[b]));
    }

    const Net &net;
    dynet::ParameterCollection model;
    std::unique_ptr<dynet::Trainer> trainer;
    dynet::Parameter weight[LAYERS], bias[LAYERS];
    std::vector<float> x[BATCHES], target[BATCHES];
    std::vector<unsigned> label[BATCHES];
};

double perceptron_step(void *state, int i)
{
    return static_cast<Perceptron *>(state)->step(unsigned(i) % BATCHES);
}

double perceptron_result(void *state)
{
    return static_cast<Perceptron *>(state)->result();
}

double chain_step(void *state, int)
{
    dynet::ComputationGraph graph;
    dynet::Expression y = parameter(graph, *static_cast<dynet::Parameter *>(state));
    for (int i = 0; i < CHAIN; i++) y = sin(y * 1.0001f + 0.1f);
    const double value = dynet::as_scalar(graph.forward(y));
    graph.backward(y);
    return value;
}

double chain_result(void *state)
{
    return chain_step(state, 0);
}

bool run_chain(const options &o, double idle)
{
    dynet::ParameterCollection model;
    dynet::Parameter half = model.add_parameters({1});
    half.set_value({0.5f});
    const task t = {&half, chain_step, chain_result, false, "DyNet"};
    return measure(&t, &o, idle);
}

bool run(const options &o, double idle)
{
    if (std::strcmp(o.name, "chain") == 0) return run_chain(o, idle);
    for (const Net &n : nets)
        if (std::strcmp(o.name, n.name) == 0) {
            Perceptron p(n);
            const task t = {&p, perceptron_step, perceptron_result, true, "DyNet"};
            return measure(&t, &o, idle);
        }
    std::fprintf(stderr, "peer_dynet: it has no %s\n", o.name);
    return false;
}

} // namespace

int main(int argc, char **argv)
{
    options o;
    if (!parse_options(argc, argv, &o)) {
        std::fprintf(stderr, "usage: peer_dynet mlp|tiny|chain [--steps MOST] [--seconds S]\n");
        return 2;
    }
    const double idle = idle_mb();
    dynet::DynetParams params;
    params.random_seed = 1;
    try {
        dynet::initialize(params);
        return run(o, idle) ? 0 : 1;
    } catch (const std::exception &problem) {
        std::fprintf(stderr, "peer_dynet: %s\n", problem.what());
        return 1;
    }
}
