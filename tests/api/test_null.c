/* test_null.c - NULL for any argument of any public function does not crash the program. */
/* SPDX-License-Identifier: MIT */
#include "scratch.h"
#include "suite.h"

#include <gradus/check_raw.h>
#include <gradus/gradus.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* --- what the calls of null_calls.h are about --- */

typedef struct objects {
    gr_graph *g;
    gr_tensor *x, *u, *loss, *steps; /* [2,3], [2], of one element, [2,1,3] */
    gr_tensor *list[2], *out[4], *nothing[4];
    gr_rnn_weights rnn, lstm, gru;
    gr_model *m;
    gr_module *net;
    gr_param *p;
    gr_optimizer *opt;
    gr_ema *ema;
    gr_dataset *d;
    gr_loader *l;
    gr_vocabulary *v;
    gr_scaler *s;
    gr_safetensors *st;
    gr_npz *npz;
    gr_array array;
    gr_profile *profile;
    gr_attrs *attrs, *slope;
    gr_check_input input;
    gr_dimension dimension;
    gr_history history;
    gr_epoch epoch;
    gr_infer infer;
    gr_shape shape;
    FILE *file;
    const char *path;
    char text[512];
    int64_t ints[4];
    double doubles[4];
    float floats[6];
    _Alignas(64) char room[1 << 15]; /* zeros, for structs and arrays that are written */
} objects;

static gr_tensor *any_check(gr_graph *g, gr_tensor *const *x, int n, void *user)
{
    (void)g, (void)n, (void)user;
    return gr_sum_all(x[0]);
}

static gr_tensor *any_loss(gr_tensor *y, void *user)
{
    (void)user;
    return gr_sum_all(y);
}

static gr_tensor *any_forward(gr_module *module, gr_tensor *x)
{
    (void)module;
    return x;
}

static gr_tensor *any_hook(void *user, gr_tensor *dy)
{
    (void)user;
    return dy;
}

static gr_status any_read(void *user, int64_t index, float *x, int64_t *y, float *target)
{
    (void)user, (void)index, (void)x, (void)y, (void)target;
    return GR_OK;
}

static gr_status any_receiver(void *user, gr_param *p)
{
    (void)user, (void)p;
    return GR_OK;
}

static gr_status any_states(void *object, gr_visit *visit, void *user)
{
    (void)object, (void)visit, (void)user;
    return GR_OK;
}

static gr_status any_trial(void *user, const double *x, int budget, double *score)
{
    (void)user, (void)x, (void)budget;
    *score = 1;
    return GR_OK;
}

static gr_status any_visit(void *user, const char *name, gr_dtype dtype, const gr_shape *shape,
                           void *data)
{
    (void)user, (void)name, (void)dtype, (void)shape, (void)data;
    return GR_OK;
}

static gr_status any_closure(void *user, double *value)
{
    (void)user;
    *value = 1;
    return GR_OK;
}

static void any_observer(void *user, const gr_node *node, const gr_exec *e)
{
    (void)user, (void)node, (void)e;
}

static void any_tracer(void *user, const gr_node *node, const gr_run *run)
{
    (void)user, (void)node, (void)run;
}

/* --- the calls --- */

typedef enum duty {
    COMES_BACK, /* that is all: NULL has a meaning here */
    SAYS_SO,    /* an error is reported, by this thread, the graph or the model */
    FAILS       /* that, and it is the status */
} duty;

typedef struct null_call {
    const char *function, *what;
    duty duty;
    gr_status (*call)(objects *o);
} null_call;

#include "null_calls.h"

enum { CALLS = sizeof calls / sizeof *calls };

/* --- making the objects --- */

static gr_tensor *ones(gr_graph *g, gr_shape shape)
{
    return gr_ones(g, GR_F32, shape);
}

static gr_rnn_weights weights(gr_graph *g, int64_t gates)
{
    return (gr_rnn_weights){.w_ih = ones(g, GR_SHAPE(gates, 3)),
                            .w_hh = ones(g, GR_SHAPE(gates, 1))};
}

static void make_tensors(objects *o)
{
    o->g = gr_graph_new();
    o->m = gr_model_new();
    o->net = gr_sequential(o->m, GR_LIST(gr_linear_layer(o->m, 3, 3)));
    o->p = gr_model_param(o->m, 0);
    o->x = gr_add(gr_from_data(o->g, GR_F32, GR_SHAPE(2, 3), o->floats),
                  gr_mean_all(gr_use(o->g, o->p)));
    o->u = ones(o->g, GR_SHAPE(2));
    o->loss = gr_sum_all(gr_square(o->x));
    o->steps = ones(o->g, GR_SHAPE(2, 1, 3));
    o->list[0] = o->list[1] = o->x;
    o->rnn = weights(o->g, 1);
    o->gru = weights(o->g, 3);
    o->lstm = weights(o->g, 4);
}

static void make_data(objects *o)
{
    static const gr_shape shape = {2, {2, 3}};
    o->ints[1] = o->ints[0] = o->ints[3] = 1;
    o->d = gr_dataset_from(GR_SHAPE(3), 2, 3, o->floats, o->ints);
    o->l = gr_loader_new(o->d, (gr_loader_options){.batch = 1});
    o->v = gr_vocabulary_build("a b c", 5, (gr_vocabulary_options){.special = true});
    o->s = gr_scaler_fit(o->d, GR_Z_SCORE, (gr_scaled)0);
    o->shape = shape;
    o->array = (gr_array){"a", "F32", shape, o->floats, sizeof o->floats};
    o->input = (gr_check_input){"x", GR_F64, {1, {4}}, o->doubles};
    o->dimension = (gr_dimension){.name = "rate", .low = 1, .high = 2};
    o->history = (gr_history){.n = 1, .epochs = &o->epoch};
    o->infer = (gr_infer){.op = gr_op_find("add"), .in = o->list, .n_in = 2, .message = o->text};
    gr_safetensors_write(scratch_path("a.safetensors"), &o->array, 1, NULL);
    gr_npz_write(scratch_path("a.npz"), &o->array, 1, false);
    o->st = gr_safetensors_open(scratch_path("a.safetensors"));
    o->npz = gr_npz_open(scratch_path("a.npz"));
    o->file = fopen("/dev/null", "w");
    o->path = scratch_path("written");
}

static void make(objects *o)
{
    make_tensors(o);
    make_data(o);
    o->opt = gr_sgd(o->m, (gr_sgd_options){.lr = 0.1});
    o->ema = gr_ema_new(o->m, (gr_ema_options){0});
    o->profile = gr_profile_new((gr_profile_options){0});
    o->attrs = gr_attrs_new(gr_op_find("conv2d"));
    o->slope = gr_attrs_new(gr_op_find("leaky_relu"));
    ck_assert_msg(!gr_graph_error(o->g) && !gr_model_error(o->m) && !*gr_last_error(),
                  "expected objects without error, got %s", gr_last_error());
    ck_assert(o->file && o->st && o->npz && o->v && o->s && o->l);
}

static void release(objects *o)
{
    gr_attrs_free(o->slope);
    gr_attrs_free(o->attrs);
    gr_profile_free(o->profile);
    gr_ema_free(o->ema);
    gr_optimizer_free(o->opt);
    fclose(o->file);
    gr_npz_close(o->npz);
    gr_safetensors_close(o->st);
    gr_scaler_free(o->s);
    gr_vocabulary_free(o->v);
    gr_loader_free(o->l);
    gr_dataset_free(o->d);
    gr_graph_free(o->g);
    gr_model_free(o->m);
}

/* --- the tests --- */

enum { DONE, SILENT, SUCCEEDED, NO_RESULT };

/* In a process of its own, which may crash, and whose memory nobody frees. */
static int judge(const null_call *c, objects *o)
{
    alarm(20);
    const gr_status status = c->call(o);
    const bool said = *gr_last_error() || gr_graph_error(o->g) || gr_model_error(o->m);
    if (c->duty != COMES_BACK && !said) return SILENT;
    return c->duty == FAILS && !status ? SUCCEEDED : DONE;
}

static const char *outcome(const null_call *c, objects *o)
{
    static const char *const exits[] = {NULL, "no error is reported", "the status is GR_OK"};
    static char text[64];
    int end;
    fflush(NULL);
    const pid_t pid = fork();
    if (pid == 0) _exit(judge(c, o));
    if (pid < 0 || waitpid(pid, &end, 0) != pid) return "no process could be made";
    if (WIFEXITED(end) && WEXITSTATUS(end) < NO_RESULT) return exits[WEXITSTATUS(end)];
    snprintf(text, sizeof text, WIFSIGNALED(end) ? "it ends with signal %d" : "it exits with %d",
             WIFSIGNALED(end) ? WTERMSIG(end) : WEXITSTATUS(end));
    return text;
}

START_TEST(null_for_any_argument_is_an_error_or_means_something)
{
    static objects o;
    static char wrong[4000];
    size_t n = 0;
    gr_set_threads(1); /* a pool of threads does not survive a fork */
    make(&o);
    ck_assert_int_gt(CALLS, 1000); /* the headers were read */
    for (int i = 0; i < CALLS; i++) {
        const char *problem = outcome(&calls[i], &o);
        if (problem && n < sizeof wrong)
            n += (size_t)snprintf(wrong + n, sizeof wrong - n, "\n  %s with %s NULL: %s",
                                  calls[i].function, calls[i].what, problem);
    }
    release(&o);
    ck_assert_msg(!n, "expected every call to come back with its error, but:%s", wrong);
}
END_TEST

static void expect_error(gr_status status, const char *error)
{
    ck_assert_int_eq(status, GR_ERR_ARGUMENT);
    ck_assert_str_eq(gr_last_error(), error);
    gr_clear_error();
}

START_TEST(the_error_names_the_function_and_the_argument)
{
    gr_parts parts;
    expect_error(gr_step(NULL), "gr_step: the optimizer is NULL");
    expect_error(gr_commit(NULL), "gr_commit: the graph is NULL");
    expect_error(gr_eval(NULL, 1), "gr_eval: the array of tensors is NULL");
    expect_error(gr_save(NULL, "a", NULL), "gr_save: the model is NULL");
    expect_error(gr_ema_update(NULL), "gr_ema_update: the average is NULL");
    expect_error(gr_profile_write(NULL, "a"), "gr_profile_write: the profile is NULL");
    gr_dataset *none = gr_csv_dataset(NULL, (gr_csv_options){0});
    expect_error(gr_split_dataset(none, (gr_split_options){0}, &parts),
                 "split: the data set is NULL; before: file: the path is NULL");
}
END_TEST

START_TEST(an_operand_of_a_graph_takes_the_error_to_it)
{
    gr_graph *g = gr_graph_new();
    gr_tensor *x = gr_ones(g, GR_F32, GR_SHAPE(2)), *dx;
    gr_grad(x, NULL, 1, &dx);
    ck_assert_int_eq(gr_graph_status(g), GR_ERR_ARGUMENT);
    ck_assert_msg(strstr(gr_graph_error(g), "gr_grad: the array of inputs is NULL") != NULL,
                  "expected gr_grad and its argument, got %s", gr_graph_error(g));
    ck_assert_ptr_null(gr_data(dx));
    gr_graph_free(g);
}
END_TEST

START_TEST(questions_about_null_are_answered_as_about_an_inert_object)
{
    gr_clear_error();
    ck_assert_str_eq(gr_graph_error(NULL), "the graph is NULL");
    ck_assert_str_eq(gr_model_error(NULL), "the model is NULL");
    ck_assert_str_eq(gr_optimizer_error(NULL), "the optimizer is NULL");
    ck_assert_str_eq(gr_param_name(NULL), "");
    ck_assert_ptr_null(gr_param_data(NULL));
    ck_assert_int_eq(gr_model_params(NULL), 0);
    ck_assert_int_eq(gr_module_children(NULL), 0);
    ck_assert_str_eq(gr_last_error(), "");
}
END_TEST

START_TEST(what_is_made_of_a_null_model_is_inert_and_says_why)
{
    gr_graph *g = gr_graph_new();
    gr_module *net = gr_sequential(NULL, GR_LIST(gr_linear_layer(NULL, 2, 1), gr_relu_layer(NULL)));
    ck_assert_str_eq(gr_model_error(gr_module_model(net)), "the model is NULL");
    ck_assert_ptr_null(gr_data(gr_forward(net, gr_ones(g, GR_F32, GR_SHAPE(1, 2)))));
    ck_assert_msg(strstr(gr_graph_error(g), "the model is NULL") != NULL,
                  "expected the NULL model as the reason, got %s", gr_graph_error(g));
    gr_graph_free(g);
}
END_TEST

SUITE("null", scratch_begin, scratch_end, null_for_any_argument_is_an_error_or_means_something,
      the_error_names_the_function_and_the_argument, an_operand_of_a_graph_takes_the_error_to_it,
      questions_about_null_are_answered_as_about_an_inert_object,
      what_is_made_of_a_null_model_is_inert_and_says_why)
