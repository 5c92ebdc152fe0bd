/* findings.c - a table for people, JSON lines and TAP for programs. */
/* SPDX-License-Identifier: MIT */
#include "findings.h"
#include "cli.h"
#include "describe.h"
#include "json.h"

#include <string.h>

static int total(const findings *f)
{
    return f->count[GR_PASS] + f->count[GR_FAIL] + f->count[GR_INCONCLUSIVE];
}

/* --- a table, and below it the reports of what did not pass --- */

static void add_row(findings *f, const char *name, const gr_check_report *r)
{
    gr__table_cell(&f->table, "%s", name);
    gr__table_cell(&f->table, "%s", gr_verdict_name(r->verdict));
    gr__table_cell(&f->table, "%.1e", r->worst);
    gr__table_cell(&f->table, "%d", r->order);
    gr__table_cell(&f->table, "%lld", (long long)r->evaluations);
    if (r->verdict == GR_PASS) return;
    gr__check_text(r, name, &f->failures);
}

static void write_table(const findings *f, gr__text *t)
{
    gr__table_write(&f->table, t);
    if (f->failures.len) gr__text_add(t, "\n%s", f->failures.data);
    gr__text_add(t, "\n%d passed, %d failed, %d inconclusive; worst error %.1e\n",
                 f->count[GR_PASS], f->count[GR_FAIL], f->count[GR_INCONCLUSIVE], f->worst);
}

/* --- JSON: a line for each that did not pass, then the summary --- */

static void add_object(findings *f, const char *name, const gr_check_report *r)
{
    if (r->verdict == GR_PASS) return;
    gr__check_json(r, name, &f->failures);
    gr__text_add(&f->failures, "\n");
}

static void write_json(const findings *f, gr__text *t)
{
    gr__json_writer w = {.out = t};
    if (f->failures.len) gr__text_add(t, "%s", f->failures.data);
    gr__json_object(&w, NULL);
    gr__json_int(&w, f->plural, total(f));
    gr__json_int(&w, "passed", f->count[GR_PASS]);
    gr__json_int(&w, "failed", f->count[GR_FAIL]);
    gr__json_int(&w, "inconclusive", f->count[GR_INCONCLUSIVE]);
    gr__json_number(&w, "worst", f->worst);
    gr__json_close(&w);
    gr__text_add(t, "\n");
}

/* --- TAP, version 13 --- */

/* The report as a literal block of YAML. */
static void add_yaml(gr__text *t, const gr_check_report *r)
{
    gr__text report = {0};
    gr__check_text(r, NULL, &report);
    gr__text_add(t, "  ---\n  verdict: %s\n  report: |\n", gr_verdict_name(r->verdict));
    for (char *line = report.data; line && *line;) {
        char *end = strchr(line, '\n');
        int length = end ? (int)(end - line) : (int)strlen(line);
        gr__text_add(t, "    %.*s\n", length, line);
        line = end ? end + 1 : line + length;
    }
    gr__text_add(t, "  ...\n");
    t->failed |= report.failed;
    gr__text_release(&report);
}

static void add_point(findings *f, const char *name, const gr_check_report *r)
{
    const bool fine = r->verdict == GR_PASS;
    gr__text_add(&f->failures, "%sok %d - %s%s\n", fine ? "" : "not ", total(f), name,
                 r->verdict == GR_INCONCLUSIVE ? " (inconclusive)" : "");
    if (!fine) add_yaml(&f->failures, r);
}

static void write_tap(const findings *f, gr__text *t)
{
    gr__text_add(t, "TAP version 13\n%s1..%d\n", f->failures.len ? f->failures.data : "", total(f));
}

/* --- all of them --- */

static const struct {
    void (*add)(findings *f, const char *name, const gr_check_report *r);
    void (*write)(const findings *f, gr__text *t);
} formats[] = {
    [AS_TABLE] = {add_row, write_table},
    [AS_JSON] = {add_object, write_json},
    [AS_TAP] = {add_point, write_tap},
};

void findings_begin(findings *f, format as, const char *what, const char *plural)
{
    const char *const head[] = {what, "verdict", "worst error", "order", "evaluations"};
    *f = (findings){.as = as, .what = what, .plural = plural, .table = {.align = "llrrr"}};
    for (int i = 0; i < 5; i++) gr__table_cell(&f->table, "%s", head[i]);
}

void findings_add(findings *f, const char *name, const gr_check_report *r)
{
    f->count[r->verdict]++;
    if (r->worst > f->worst) f->worst = r->worst;
    formats[f->as].add(f, name, r);
}

void findings_release(findings *f)
{
    gr__text_release(&f->failures);
    gr__table_release(&f->table);
}

int findings_finish(findings *f)
{
    gr__text t = {.failed = f->failures.failed};
    formats[f->as].write(f, &t);
    bool printed = print_text(&t);
    gr__text_release(&t);
    findings_release(f);
    if (!printed) return fail("check");
    return f->count[GR_FAIL] ? FAILED : f->count[GR_INCONCLUSIVE] ? INCONCLUSIVE : DONE;
}
