/* search.c - the search for hyperparameters: at random, on a grid, by successive halving.
 *
 * Halving: all points get a small budget, the best 1/eta of them eta times as much, and so on, so
 * that each round costs about the same. Source: Jamieson, Talwalkar, Non-stochastic best arm
 * identification and hyperparameter optimization, AISTATS 2016. Random search: Bergstra, Bengio,
 * JMLR 13, 2012.
 */
/* SPDX-License-Identifier: MIT */
#include "base.h"
#include "progress.h"

#include <gradus/measure.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MOST_TRIALS = 1000000, GRID_POINTS = 3, POINTS = 0x73656172 };

typedef struct search {
    gr_search_options o;
    gr_trial_fn *run;
    void *user;
    gr_search_results *r;
    int planned; /* trials in all rounds */
    gr__progress bar;
} search;

/* --- points --- */

/* Where `part` of the way from low to high lies, 0 <= part <= 1. */
static double between(const gr_dimension *d, double part)
{
    if (d->values) return d->values[(int)fmin(part * d->n, d->n - 1)];
    double x = d->log ? exp(log(d->low) + part * (log(d->high) - log(d->low)))
                      : d->low + part * (d->high - d->low);
    x = fmin(fmax(x, d->low), d->high); /* rounding must not leave the range */
    return d->whole ? round(x) : x;
}

/* Whole numbers get equal shares: those at the ends too. */
static double draw(const gr_dimension *d, double u)
{
    if (!d->whole || d->log || d->values) return between(d, u);
    return fmin(d->low + floor(u * (d->high - d->low + 1)), d->high);
}

static void random_point(const search *s, int64_t trial, double *x)
{
    uint64_t stream = gr__hash_join(s->o.seed, POINTS);
    for (int i = 0; i < s->r->dimensions; i++)
        x[i] = draw(&s->r->space[i],
                    gr__random_uniform(stream, (uint64_t)(trial * GR_DIMENSIONS + i)));
}

static int points_of(const gr_dimension *d)
{
    return d->n ? d->n : GRID_POINTS;
}

/* The last dimension changes fastest. */
static void grid_point(const search *s, int64_t trial, double *x)
{
    for (int i = s->r->dimensions - 1; i >= 0; i--) {
        const gr_dimension *d = &s->r->space[i];
        int n = points_of(d), place = (int)(trial % n);
        x[i] = d->values ? d->values[place] : between(d, n > 1 ? (double)place / (n - 1) : 0.5);
        trial /= n;
    }
}

/* --- checks --- */

static gr_status check_dimension(const gr_dimension *d, int i)
{
    const char *name = d->name ? d->name : "";
    if (!*name) return gr__fail(GR_ERR_ARGUMENT, "gr_search: dimension %d has no name", i);
    if (d->n < 0 || (d->values && d->n < 1))
        return gr__fail(GR_ERR_ARGUMENT, "gr_search: %s: expected at least 1 value, got %d", name,
                        d->n);
    if (d->values) return GR_OK;
    if (!(isfinite(d->low) && isfinite(d->high) && d->low <= d->high))
        return gr__fail(GR_ERR_ARGUMENT, "gr_search: %s: expected low <= high, got %g and %g", name,
                        d->low, d->high);
    if (d->log && d->low <= 0)
        return gr__fail(GR_ERR_ARGUMENT, "gr_search: %s: a log scale begins above 0, got %g", name,
                        d->low);
    return GR_OK;
}

static gr_status check(const gr_dimension *space, int n, const gr_search_options *o)
{
    if (n < 1 || n > GR_DIMENSIONS)
        return gr__fail(GR_ERR_ARGUMENT, "gr_search: expected 1 to %d dimensions, got %d",
                        GR_DIMENSIONS, n);
    if (o->trials < 1 || o->trials > MOST_TRIALS || o->budget < 1 || o->eta < 2)
        return gr__fail(GR_ERR_ARGUMENT,
                        "gr_search: expected 1 to %d trials, a budget of 1 or more and an eta of 2 "
                        "or more, got %d, %d and %d",
                        MOST_TRIALS, o->trials, o->budget, o->eta);
    gr_status status = GR_OK;
    for (int i = 0; i < n && !status; i++) status = check_dimension(&space[i], i);
    return status;
}

/* --- trials --- */

static bool better(double a, double b)
{
    return !isnan(a) && (isnan(b) || a < b);
}

/* Of two budgets the larger one is believed. */
static void note_best(gr_search_results *r, int i)
{
    const gr_trial *t = &r->trials[i], *best = r->best < 0 ? NULL : &r->trials[r->best];
    if (isnan(t->score)) return;
    if (!best || t->budget > best->budget ||
        (t->budget == best->budget && better(t->score, best->score)))
        r->best = i;
}

static void run_trial(search *s, const double *x, int budget)
{
    gr_search_results *r = s->r;
    gr_trial *t = &r->trials[r->n];
    double begun = gr__seconds();
    memcpy(t->x, x, sizeof t->x);
    t->budget = budget;
    t->score = NAN;
    if (s->run(s->user, t->x, budget, &t->score)) t->score = NAN;
    t->seconds = gr__seconds() - begun;
    note_best(r, r->n++);
    gr__progress_show(&s->bar, r->n, "best %.4g", r->best < 0 ? NAN : r->trials[r->best].score);
}

static void run_points(search *s)
{
    bool grid = s->o.kind == GR_SEARCH_GRID;
    for (int i = 0; i < s->planned; i++) {
        double x[GR_DIMENSIONS] = {0};
        (grid ? grid_point : random_point)(s, i, x);
        run_trial(s, x, s->o.budget);
    }
}

/* --- halving --- */

/* Rounds until the full budget or a single point is reached. */
static int rounds_of(const gr_search_options *o)
{
    int rounds = 1;
    for (int64_t n = o->trials, budget = o->budget; n >= o->eta && budget >= o->eta; rounds++) {
        n /= o->eta;
        budget /= o->eta;
    }
    return rounds;
}

static int budget_of(const search *s, int round, int rounds)
{
    int64_t budget = s->o.budget;
    for (int i = round; i < rounds - 1; i++) budget /= s->o.eta;
    return (int)budget;
}

/* How many trials of the round before, n from `first` on, are better than trial i. */
static int place_of(const gr_search_results *r, int first, int n, int i)
{
    int place = 0;
    for (int k = first; k < first + n; k++)
        place += better(r->trials[k].score, r->trials[i].score) ||
                 (k < i && !better(r->trials[i].score, r->trials[k].score));
    return place;
}

static void run_halving(search *s)
{
    const int rounds = rounds_of(&s->o);
    int first = 0, n = s->o.trials;
    for (int i = 0; i < n; i++) {
        double x[GR_DIMENSIONS] = {0};
        random_point(s, i, x);
        run_trial(s, x, budget_of(s, 0, rounds));
    }
    for (int round = 1; round < rounds; round++) {
        int keep = n / s->o.eta, next = s->r->n;
        for (int i = first; i < first + n; i++)
            if (place_of(s->r, first, n, i) < keep && !isnan(s->r->trials[i].score))
                run_trial(s, s->r->trials[i].x, budget_of(s, round, rounds));
        first = next;
        n = s->r->n - next;
    }
}

/* --- all of it --- */

static gr_status plan(search *s)
{
    int64_t n = s->o.trials;
    if (s->o.kind == GR_SEARCH_GRID) {
        n = 1;
        for (int i = 0; i < s->r->dimensions && n <= MOST_TRIALS; i++)
            n *= points_of(&s->r->space[i]);
        if (n > MOST_TRIALS)
            return gr__fail(GR_ERR_ARGUMENT, "gr_search: the grid has more than %d points",
                            MOST_TRIALS);
    }
    s->planned = (int)n;
    int64_t rounds = s->o.kind == GR_SEARCH_HALVING ? 2 : 1; /* n + n/eta + ... <= 2 n */
    s->r->trials = gr__calloc((size_t)(n * rounds) * sizeof *s->r->trials);
    return s->r->trials ? GR_OK : GR_ERR_MEMORY;
}

static void report_end(search *s)
{
    const gr_search_results *r = s->r;
    if (r->best < 0) gr__progress_end(&s->bar, "%d trials, all failed", r->n);
    else gr__progress_end(&s->bar, "%d trials, best %.4g", r->n, r->trials[r->best].score);
}

/* Looks for the point where `trial` gives the smallest score.
 *
 * space  [dimensions], the caller's, to stay as long as r
 * trial  called once per point and round, one after the other; a failure or a NaN is the worst
 * o      zero means the default; the same seed gives the same points
 * r      gets every trial; gr_search_release it, also on failure
 *
 * Fails only where it cannot begin: a dimension that cannot be, memory. When every trial failed,
 * r->best is -1 and gr_last_error says why the last one did. */
gr_status gr_search(const gr_dimension *space, int dimensions, gr_trial_fn *trial, void *user,
                    gr_search_options o, gr_search_results *r)
{
    if (gr__need("gr_search", r, "place for the results")) return GR_ERR_ARGUMENT;
    search s = {.o = o, .run = trial, .user = user, .r = r};
    *r = (gr_search_results){.space = space, .dimensions = dimensions, .best = -1};
    if (s.o.trials == 0) s.o.trials = 16;
    if (s.o.budget == 0) s.o.budget = 1;
    if (s.o.eta == 0) s.o.eta = 3;
    gr_status status = gr__need("gr_search", trial, "trial");
    if (!status) status = gr__need_array("gr_search", space, dimensions, "array of dimensions");
    if (!status) status = check(space, dimensions, &s.o);
    if (!status) status = plan(&s);
    if (status) return status;
    gr__progress_begin(&s.bar, o.progress ? stderr : NULL, "search", s.planned);
    if (o.kind == GR_SEARCH_HALVING) run_halving(&s);
    else run_points(&s);
    report_end(&s);
    return GR_OK;
}

/* Frees the trials; zeroed results are fine. */
void gr_search_release(gr_search_results *r)
{
    if (!r) return;
    gr__free(r->trials);
    r->trials = NULL;
    r->n = 0;
}
