/* describe.c - a report as text and as JSON. */
/* SPDX-License-Identifier: MIT */
#include "describe.h"
#include "json.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* --- text --- */

static void add_place(const gr_check_report *r, gr__text *t)
{
    char shape[GR_SHAPE_TEXT];
    if (r->input[0])
        gr__text_add(t, "  input      %s%s%s\n", r->input, r->elements ? " " : "",
                     r->elements ? gr_shape_text(&r->shape, shape) : "");
    if (r->op[0]) gr__text_add(t, "  op         %s", r->op);
    if (r->op[0] && r->site[0])
        gr__text_add(t, ", node %lld, recorded at %s", (long long)r->node, r->site);
    if (r->op[0]) gr__text_add(t, "\n");
    gr__text_add(t, "  seed       %llu", (unsigned long long)r->seed);
    if (r->round) gr__text_add(t, ", round %d", r->round);
    gr__text_add(t, ", order %d\n", r->order);
}

static void add_numbers(const gr_check_report *r, gr__text *t)
{
    if (r->analytic == 0 && r->numeric == 0 && r->bound == 0) return;
    gr__text_add(t, "  analytic   %.12g\n  numeric    %.12g\n", r->analytic, r->numeric);
    gr__text_add(t, "  difference %.3g, allowed %.3g (scale %.3g)\n",
                 fabs(r->analytic - r->numeric), r->bound, r->scale);
    gr__text_add(t, "  error      %.2g by Ridders, noise %.2g, step %.3g\n", r->error, r->noise,
                 r->h);
}

/* Each row: the step, the central difference, and what is extrapolated from it and those above. */
static void add_table(const gr_check_report *r, gr__text *t)
{
    for (int i = 0; i < r->rows; i++) {
        gr__text_add(t, "%s %-9.3g", i ? "            " : "  h-table   ", r->step[i]);
        for (int j = 0; j <= i; j++) gr__text_add(t, " %.9g", r->table[i][j]);
        gr__text_add(t, "\n");
    }
    if (r->rows && isfinite(r->taylor[0]))
        gr__text_add(t, "  Taylor     slopes %.2f and %.2f (1 and 2 where the gradient is right)\n",
                     r->taylor[0], r->taylor[1]);
}

static void add_elements(const gr_check_report *r, gr__text *t)
{
    for (int i = 0; i < r->elements; i++) {
        const gr_check_element *e = &r->element[i];
        gr__text_add(t, "%s %-10s analytic %.9g, numeric %.9g", i ? "            " : "  wrong     ",
                     e->where, e->analytic, e->numeric);
        if (e->numeric != 0) gr__text_add(t, ", ratio %.6g", e->analytic / e->numeric);
        gr__text_add(t, "\n");
    }
    if (r->elements && r->wrong > r->elements)
        gr__text_add(t, "             and %s%lld more\n", r->estimated ? "about " : "",
                     (long long)(r->wrong - r->elements));
}

static void add_replay(const gr_check_report *r, gr__text *t)
{
    char text[GR__REPLAY_TEXT];
    if (gr__check_replay(r, text)) gr__text_add(t, "  replay     gradus check --replay %s\n", text);
    else if (r->round)
        gr__text_add(
            t, "  replay     with (gr_check_options){.seed = %llu, .order = %d, .round = %d}\n",
            (unsigned long long)r->seed, r->order, r->round);
}

void gr__check_text(const gr_check_report *r, const char *name, gr__text *t)
{
    gr__text_add(t, "%s%s%s", gr_verdict_name(r->verdict), name ? " " : "", name ? name : "");
    if (r->stage[0]) gr__text_add(t, " (stage %s)", r->stage);
    gr__text_add(t, ": %s\n", r->message);
    if (r->verdict == GR_PASS) return;
    add_place(r, t);
    add_numbers(r, t);
    add_table(r, t);
    if (r->kink_owner[0]) gr__text_add(t, "  kink       %s\n", r->kink_owner);
    add_elements(r, t);
    if (r->diagnosis[0]) gr__text_add(t, "  diagnosis  %s: %s\n", r->diagnosis, r->explanation);
    add_replay(r, t);
}

/* --- JSON --- */

static void write_numbers(gr__json_writer *w, const gr_check_report *r)
{
    const struct {
        const char *key;
        double value;
    } numbers[] = {{"worst", r->worst},
                   {"analytic", r->analytic},
                   {"numeric", r->numeric},
                   {"difference", fabs(r->analytic - r->numeric)},
                   {"bound", r->bound},
                   {"scale", r->scale},
                   {"error", r->error},
                   {"noise", r->noise},
                   {"h", r->h}};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        gr__json_number(w, numbers[i].key, numbers[i].value);
}

static void write_table(gr__json_writer *w, const gr_check_report *r)
{
    gr__json_array(w, "table");
    for (int i = 0; i < r->rows; i++) {
        gr__json_array(w, NULL);
        gr__json_number(w, NULL, r->step[i]);
        for (int j = 0; j <= i; j++) gr__json_number(w, NULL, r->table[i][j]);
        gr__json_close(w);
    }
    gr__json_close(w);
    gr__json_array(w, "taylor");
    for (int i = 0; i < 2 && r->rows; i++) gr__json_number(w, NULL, r->taylor[i]);
    gr__json_close(w);
}

static void write_elements(gr__json_writer *w, const gr_check_report *r)
{
    gr__json_array(w, "elements");
    for (int i = 0; i < r->elements; i++) {
        const gr_check_element *e = &r->element[i];
        gr__json_object(w, NULL);
        gr__json_int(w, "index", e->index);
        gr__json_string(w, "where", e->where);
        gr__json_number(w, "analytic", e->analytic);
        gr__json_number(w, "numeric", e->numeric);
        gr__json_number(w, "ratio", e->analytic / e->numeric);
        gr__json_close(w);
    }
    gr__json_close(w);
    if (!r->elements) return;
    gr__json_array(w, "shape");
    for (int i = 0; i < r->shape.rank; i++) gr__json_int(w, NULL, r->shape.dim[i]);
    gr__json_close(w);
    gr__json_int(w, "wrong", r->wrong);
    gr__json_bool(w, "estimated", r->estimated);
}

static void write_place(gr__json_writer *w, const gr_check_report *r)
{
    if (r->op[0]) gr__json_string(w, "op", r->op);
    if (r->site[0]) gr__json_int(w, "node", r->node);
    if (r->site[0]) gr__json_string(w, "site", r->site);
    gr__json_string(w, "input", r->input);
    gr__json_int(w, "order", r->order);
    gr__json_int(w, "seed", (int64_t)r->seed);
    gr__json_int(w, "round", r->round);
    gr__json_int(w, "evaluations", r->evaluations);
    gr__json_bool(w, "kink", r->kink);
    if (r->kink_owner[0]) gr__json_string(w, "kink_owner", r->kink_owner);
}

void gr__check_json(const gr_check_report *r, const char *name, gr__text *t)
{
    char replay[GR__REPLAY_TEXT];
    gr__json_writer w = {.out = t};
    gr__json_object(&w, NULL);
    if (name) gr__json_string(&w, "name", name);
    gr__json_string(&w, "verdict", gr_verdict_name(r->verdict));
    gr__json_string(&w, "stage", r->stage);
    gr__json_string(&w, "message", r->message);
    write_place(&w, r);
    write_numbers(&w, r);
    write_table(&w, r);
    write_elements(&w, r);
    gr__json_string(&w, "diagnosis", r->diagnosis);
    gr__json_string(&w, "explanation", r->explanation);
    if (gr__check_replay(r, replay)) gr__json_string(&w, "replay", replay);
    gr__json_close(&w);
}

/* --- replay --- */

bool gr__check_replay(const gr_check_report *r, char text[GR__REPLAY_TEXT])
{
    size_t used;
    text[0] = 0;
    if (!r->sample || !gr_op_find(r->op)) return false;
    used = (size_t)snprintf(text, GR__REPLAY_TEXT, "op=%s:sample=%d:layout=%d:seed=%llu:order=%d",
                            r->op, r->sample, r->layout, (unsigned long long)r->seed, r->order);
    if (r->round) snprintf(text + used, GR__REPLAY_TEXT - used, ":round=%d", r->round);
    return true;
}

/* --- into a user's buffer --- */

static size_t hand_out(gr__text *t, char *buffer, size_t size)
{
    size_t n = gr__text_copy(t, buffer, size);
    gr__text_release(t);
    return n;
}

size_t gr_check_report_text(const gr_check_report *report, char *buffer, size_t size)
{
    if (gr__need("gr_check_report_text", report, "report")) return 0;
    gr__text t = {0};
    gr__check_text(report, NULL, &t);
    return hand_out(&t, buffer, size);
}

size_t gr_check_report_json(const gr_check_report *report, char *buffer, size_t size)
{
    if (gr__need("gr_check_report_json", report, "report")) return 0;
    gr__text t = {0};
    gr__check_json(report, NULL, &t);
    return hand_out(&t, buffer, size);
}
