/* test_catalogue.c - every class of planted error, in every op it can be planted in.
 *
 * Prints the kill table and fails if a check in which a mutant was alive is not FAIL.
 * By hand: test_catalogue --seeds 20 [--first SEED] [--op NAME] [--class NAME] [--show 1]
 *   --show 1  prints what each check said
 */
/* SPDX-License-Identifier: MIT */
#include "classes.h"
#include "tally.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_OPS = 1024, MOST_CLASSES = 64, FEWEST_MUTANTS = 200, FEWEST_OPS = 35 };
enum { LEAST_DIAGNOSED = 95 }; /* percent */

typedef struct options {
    int seeds, first, show;
    const char *op, *class;
} options;

static const mutation *classes[MOST_CLASSES];
static int n_classes;
static tally per_op[MOST_OPS], per_class[MOST_CLASSES];
static int complaints, without_effect;

static void list_classes(void)
{
    const mutation *const families[] = {factor_mutations,      element_mutations,
                                        arrangement_mutations, cotangent_mutations,
                                        sum_mutations,         term_mutations,
                                        type_mutations,        second_mutations};
    for (size_t f = 0; f < sizeof families / sizeof *families; f++)
        for (const mutation *m = families[f]; m->name; m++) classes[n_classes++] = m;
}

static void complain(const gr_op *op, const mutation *m, int seed, const char *what,
                     const char *text)
{
    printf("%s: %s, %s, seed %d: %s\n", what, op->name, m->name, seed, text);
    complaints++;
}

static void judge(const gr_op *op, const mutation *m, int seed, const outcome *o)
{
    char text[700];
    snprintf(text, sizeof text, "%s %s %s", gr_verdict_name(o->report.verdict), o->report.stage,
             o->report.message);
    if (o->broken[0]) complain(op, m, seed, "broken damage", o->broken);
    else if (o->alive && o->report.verdict != GR_FAIL) complain(op, m, seed, "escaped", text);
    else if (!o->alive && o->report.verdict == GR_FAIL) complain(op, m, seed, "false alarm", text);
}

/* One class in one op, over all seeds. */
static void run(int op_index, int class, const options *o)
{
    const gr_op *op = gr_op_at(op_index);
    const mutation *m = classes[class];
    tally t = {0};
    if (!mutant_possible(op, m)) return;
    for (int seed = o->first; seed < o->first + o->seeds; seed++) {
        outcome out = mutant_check(op, m, (uint64_t)seed);
        tally_add(&t, m, &out);
        judge(op, m, seed, &out);
        if (o->show && out.alive) printf("%s: %s\n", m->name, out.report.message);
    }
    if (t.runs == 0) { /* not a mutant: the damage never changed a gradient */
        without_effect++;
        return;
    }
    t.mutants = 1;
    tally_sum(&per_op[op_index], &t);
    tally_sum(&per_class[class], &t);
}

static void run_all(const options *o)
{
    for (int i = 0; i < gr_op_count(); i++)
        for (int c = 0; c < n_classes; c++) {
            if (o->op && strcmp(o->op, gr_op_at(i)->name) != 0) continue;
            if (o->class && strcmp(o->class, classes[c]->name) != 0) continue;
            run(i, c, o);
        }
}

static tally print_tables(int *ops)
{
    tally whole = {0};
    *ops = 0;
    tally_head("op");
    for (int i = 0; i < gr_op_count(); i++) {
        if (per_op[i].mutants == 0) continue;
        tally_print(gr_op_at(i)->name, &per_op[i]);
        ++*ops;
    }
    tally_head("class");
    for (int c = 0; c < n_classes; c++) {
        if (per_class[c].mutants) tally_print(classes[c]->name, &per_class[c]);
        tally_sum(&whole, &per_class[c]);
    }
    tally_print("all", &whole);
    return whole;
}

/* Of a run over everything. */
static void expect_coverage(const tally *whole, int ops)
{
    for (int c = 0; c < n_classes; c++) {
        if (per_class[c].mutants) continue;
        printf("no op has a mutant of the class '%s'\n", classes[c]->name);
        complaints++;
    }
    if (whole->mutants < FEWEST_MUTANTS || ops < FEWEST_OPS) {
        printf("expected at least %d mutants of %d ops\n", FEWEST_MUTANTS, FEWEST_OPS);
        complaints++;
    }
    if (100 * whole->diagnosed < LEAST_DIAGNOSED * whole->expected) {
        printf("expected the right diagnosis in at least %d%%\n", LEAST_DIAGNOSED);
        complaints++;
    }
}

static options parse(int argc, char **argv)
{
    options o = {.seeds = 1};
    for (int i = 1; i + 1 < argc; i += 2) {
        if (!strcmp(argv[i], "--seeds")) o.seeds = atoi(argv[i + 1]);
        if (!strcmp(argv[i], "--first")) o.first = atoi(argv[i + 1]);
        if (!strcmp(argv[i], "--show")) o.show = atoi(argv[i + 1]);
        if (!strcmp(argv[i], "--op")) o.op = argv[i + 1];
        if (!strcmp(argv[i], "--class")) o.class = argv[i + 1];
    }
    return o;
}

int main(int argc, char **argv)
{
    options o = parse(argc, argv);
    int ops;
    list_classes();
    if (gr_op_count() > MOST_OPS) return EXIT_FAILURE;
    run_all(&o);
    tally whole = print_tables(&ops);
    printf("\n%d mutants of %d ops, %d classes, %d seeds; %d pairs of op and class do nothing\n",
           whole.mutants, ops, n_classes, o.seeds, without_effect);
    if (!o.op && !o.class) expect_coverage(&whole, ops);
    printf("%d of %d checks FAIL, %d complaints; diagnosis right in %d of %d\n", whole.killed,
           whole.runs, complaints, whole.diagnosed, whole.expected);
    bool caught = whole.runs > 0 && whole.killed == whole.runs;
    return caught && complaints == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
