/* profile_report.c - a profile as tables and as JSON with a trace.
 *
 * The JSON is an object in the Trace Event Format, which chrome://tracing and Perfetto open; what
 * was summed up stands beside the events.
 */
/* SPDX-License-Identifier: MIT */
#include "json.h"
#include "profile.h"
#include "table.h"

#include <math.h>
#include <string.h>

/* --- order --- */

/* The rows, slowest first, to be freed; NULL when memory is out. Insertion: there are few. */
static gr_profile_row *slowest_first(const gr_profile *p, const gr__tally *t, bool inclusive)
{
    gr_profile_row *rows = gr__alloc((size_t)(t->n + 1) * sizeof *rows);
    for (int i = 0; rows && i < t->n; i++) {
        gr_profile_row r = inclusive ? gr__profile_inclusive(p, &t->rows[i]) : t->rows[i];
        int at = i;
        for (; at > 0 && rows[at - 1].seconds < r.seconds; at--) rows[at] = rows[at - 1];
        rows[at] = r;
    }
    return rows;
}

static const char *phase(bool backward)
{
    return backward ? "backward" : "forward";
}

static bool has_scopes(const gr_profile *p)
{
    for (int i = 0; i < p->scopes.n; i++)
        if (*p->scopes.rows[i].name) return true;
    return false;
}

/* --- tables --- */

/* What a rate is of no use without: "-" instead. */
static void rate_cell(gr__table *t, double amount, double seconds)
{
    if (amount > 0 && seconds > 0) gr__table_cell(t, "%.2f", 1e-9 * amount / seconds);
    else gr__table_cell(t, "-");
}

static void row_cells(gr__table *t, const gr_profile_row *r, double whole)
{
    gr__table_cell(t, "%s", *r->name ? r->name : "(none)");
    gr__table_cell(t, "%s", phase(r->backward));
    gr__table_cell(t, "%lld", (long long)r->calls);
    gr__table_cell(t, "%.3f", 1e3 * r->seconds);
    gr__table_cell(t, "%.1f", whole > 0 ? 100 * r->seconds / whole : 0);
    gr__table_cell(t, "%.2f", r->calls ? 1e6 * r->seconds / (double)r->calls : 0);
    rate_cell(t, r->flops, r->seconds);
    rate_cell(t, (double)(r->read + r->written), r->seconds);
    gr__table_cell(t, "%.2f", 1e-6 * (double)r->peak);
}

enum { COLUMNS = 9 };

static void head_cells(gr__table *t, const char *what)
{
    static const char *const head[COLUMNS - 1] = {"phase",   "calls",   "ms",   "%",
                                                  "us/call", "GFLOP/s", "GB/s", "peak MB"};
    gr__table_cell(t, "%s", what);
    for (int i = 0; i < COLUMNS - 1; i++) gr__table_cell(t, "%s", head[i]);
}

/* The time that went into no op. */
static void rest_cells(gr__table *t, double seconds, double whole)
{
    gr__table_cell(t, "outside of ops");
    gr__table_cell(t, " ");
    gr__table_cell(t, " ");
    gr__table_cell(t, "%.3f", 1e3 * seconds);
    gr__table_cell(t, "%.1f", whole > 0 ? 100 * seconds / whole : 0);
    for (int i = 5; i < COLUMNS; i++) gr__table_cell(t, " ");
}

static void add_rows(const gr_profile *p, gr__table *table, const gr__tally *tally, gr__text *t)
{
    gr_profile_row *rows = slowest_first(p, tally, tally == &p->scopes);
    if (!rows) t->failed = true;
    for (int i = 0; rows && i < tally->n; i++) row_cells(table, &rows[i], gr_profile_seconds(p));
    gr__free(rows);
}

static void add_table(const gr_profile *p, const gr__tally *tally, const char *what, gr__text *t)
{
    gr__table table = {.align = "llrrrrrrr"};
    double whole = gr_profile_seconds(p);
    head_cells(&table, what);
    add_rows(p, &table, tally, t);
    if (tally == &p->ops) rest_cells(&table, whole - p->total.seconds, whole);
    gr__table_write(&table, t);
    gr__table_release(&table);
}

static void report(const gr_profile *p, gr__text *t)
{
    if (p->failed) t->failed = true;
    add_table(p, &p->ops, "op", t);
    if (has_scopes(p)) {
        gr__text_add(t, "\n");
        add_table(p, &p->scopes, "scope, with all inside", t);
    }
    gr__text_add(t, "\n%lld calls in %.3f s, %.3f GFLOP; at most %.2f MB in large values\n",
                 (long long)p->total.calls, gr_profile_seconds(p), 1e-9 * p->total.flops,
                 1e-6 * (double)p->total.peak);
}

/* Tables of the ops and, where there are any, of the scopes, slowest first: the time of all calls
 * and of one, operations and bytes per second, and how much memory the graph held at most in values
 * of more than 4 KB while such an op ran. A scope's row sums up the scopes inside it as well.
 *
 * text  [size], gets as much as fits and a terminating NUL; NULL with size 0
 *
 * Returns the length of the whole, as snprintf does; 0 when memory is or was out. */
size_t gr_profile_text(const gr_profile *p, char *text, size_t size)
{
    if (gr__need("gr_profile_text", p, "profile")) return 0;
    gr__text t = {0};
    report(p, &t);
    size_t length = gr__text_copy(&t, text, size);
    gr__text_release(&t);
    return length;
}

/* --- JSON --- */

static void write_row(gr__json_writer *w, const gr_profile_row *r)
{
    gr__json_object(w, NULL);
    gr__json_string(w, "name", r->name);
    gr__json_string(w, "phase", phase(r->backward));
    gr__json_int(w, "calls", r->calls);
    gr__json_number(w, "seconds", r->seconds);
    gr__json_int(w, "read_bytes", r->read);
    gr__json_int(w, "written_bytes", r->written);
    gr__json_number(w, "flops", r->flops);
    gr__json_number(w, "flops_per_second", r->seconds > 0 ? r->flops / r->seconds : 0);
    gr__json_int(w, "peak_bytes", r->peak);
    gr__json_close(w);
}

static void write_rows(gr__json_writer *w, const char *key, const gr_profile *p, const gr__tally *t)
{
    gr_profile_row *rows = slowest_first(p, t, false);
    if (!rows) w->out->failed = true;
    gr__json_array(w, key);
    for (int i = 0; rows && i < t->n; i++) write_row(w, &rows[i]);
    gr__json_close(w);
    gr__free(rows);
}

/* Microseconds since the profile began. */
static double moment(const gr_profile *p, int64_t t)
{
    return 1e-3 * (double)(t - p->begun);
}

static void begin_event(gr__json_writer *w, const char *name, const char *kind, int track)
{
    gr__json_object(w, NULL);
    gr__json_string(w, "name", name);
    gr__json_string(w, "ph", kind);
    gr__json_int(w, "pid", 1);
    gr__json_int(w, "tid", track);
}

static void write_track(gr__json_writer *w, bool backward)
{
    begin_event(w, "thread_name", "M", 1 + backward);
    gr__json_object(w, "args");
    gr__json_string(w, "name", phase(backward));
    gr__json_close(w);
    gr__json_close(w);
}

static void write_event(gr__json_writer *w, const gr_profile *p, const gr__event *e)
{
    char shape[GR_SHAPE_TEXT];
    const gr_profile_row *op = &p->ops.rows[e->op];
    begin_event(w, op->name, "X", 1 + op->backward);
    gr__json_string(w, "cat", phase(op->backward));
    gr__json_number(w, "ts", moment(p, e->begun));
    gr__json_number(w, "dur", 1e-3 * (double)(e->ended - e->begun));
    gr__json_object(w, "args");
    gr__json_int(w, "node", e->node);
    gr__json_string(w, "shape", gr_shape_text(&e->shape, shape));
    gr__json_string(w, "scope", p->scopes.rows[e->scope].name);
    gr__json_close(w);
    gr__json_close(w);
}

static void write_memory(gr__json_writer *w, const gr_profile *p, const gr__event *e)
{
    begin_event(w, "large values", "C", 1);
    gr__json_number(w, "ts", moment(p, e->begun));
    gr__json_object(w, "args");
    gr__json_int(w, "bytes", e->peak);
    gr__json_close(w);
    gr__json_close(w);
}

static void write_trace(gr__json_writer *w, const gr_profile *p)
{
    gr__json_array(w, "traceEvents");
    write_track(w, false);
    write_track(w, true);
    for (int64_t i = 0; i < p->n_events; i++) {
        const gr__event *e = &p->events[i];
        write_event(w, p, e);
        if (i == 0 || e->peak != e[-1].peak) write_memory(w, p, e);
    }
    gr__json_close(w);
}

static void write_profile(const gr_profile *p, gr__text *t)
{
    gr__json_writer w = {.out = t};
    gr__json_object(&w, NULL);
    gr__json_number(&w, "seconds", gr_profile_seconds(p));
    gr__json_number(&w, "op_seconds", p->total.seconds);
    gr__json_int(&w, "calls", p->total.calls);
    gr__json_number(&w, "flops", p->total.flops);
    gr__json_int(&w, "peak_bytes", p->total.peak);
    write_rows(&w, "ops", p, &p->ops);
    write_rows(&w, "scopes", p, &p->scopes);
    write_trace(&w, p);
    gr__json_close(&w);
    gr__text_add(t, "\n");
}

/* Writes the profile as one JSON object: sums over all ("seconds", "op_seconds", "calls", "flops",
 * "peak_bytes"), "ops" and "scopes" as rows, slowest first (a scope's without those inside it), and
 * "traceEvents" of the first nodes (gr_profile_options), for chrome://tracing or ui.perfetto.dev.
 * path is complete afterwards or as it was. GR_ERR_FILE, GR_ERR_MEMORY (also when something could
 * not be counted). */
gr_status gr_profile_write(const gr_profile *p, const char *path)
{
    if (gr__need("gr_profile_write", p, "profile")) return GR_ERR_ARGUMENT;
    gr__text t = {.failed = p->failed};
    write_profile(p, &t);
    gr_status status = gr__text_save(&t, path);
    gr__text_release(&t);
    return status;
}
