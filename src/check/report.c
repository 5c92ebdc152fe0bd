/* report.c - verdicts and messages. */
/* SPDX-License-Identifier: MIT */
#include "function.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

const char *gr_verdict_name(gr_verdict v)
{
    static const char *const verdicts[] = {"PASS", "FAIL", "INCONCLUSIVE"};
    return (unsigned)v < 3 ? verdicts[v] : "?";
}

/* What a structural failure is called: the first whose stage and text fit. */
static const struct {
    const char *stage, *text, *word, *explanation;
} names[] = {
    {"S0a", "", "not deterministic", "the same input gives different results"},
    {"S0b", "gives nan", "zero cotangent", "a zero cotangent is multiplied by what is not finite"},
    {"S0b", "gives -nan", "zero cotangent", "a zero cotangent is multiplied by what is not finite"},
    {"S0b", "absent", "absent cotangent", "a missing cotangent does not count as zero"},
    {"S0b", "without gradient", "nonzero", "the gradient should be zero"},
    {"S0b", "", "cotangent ignored", "the gradient does not depend on the cotangent as it should"},
    {"S0c", "", "not linear", "the gradient is not linear in the cotangent"},
    {"S0d", "", "overwritten", "gradients are overwritten instead of added up"},
    {"S0e", "", "memory", "something is left unwritten, or written that should not be"},
    {"S1", "not finite", "not finite", "a value or a gradient is not finite"},
    {"S1", "ward gives", "not finite", "a value or a gradient is not finite"},
    {"S2", "", "forward mode", "the backward rule is not linear in its cotangent as ops"},
    {"S5", "", "threads", "results depend on the number of threads"},
    {"S6", "", "element", "an element of the Jacobian is wrong"},
    {"S4", "", "float32", "the float32 kernel is less accurate than float32 allows"},
};

static void name_structural(gr_check_report *r)
{
    for (size_t i = 0; i < sizeof names / sizeof *names && r->verdict == GR_FAIL; i++) {
        if (strcmp(r->stage, names[i].stage) != 0 || !strstr(r->message, names[i].text)) continue;
        snprintf(r->diagnosis, sizeof r->diagnosis, "%s", names[i].word);
        snprintf(r->explanation, sizeof r->explanation, "%s", names[i].explanation);
        return;
    }
}

void gr__report(gr_check_report *r, gr_verdict verdict, const char *stage, const char *format, ...)
{
    if (r->verdict != GR_PASS) return;
    va_list args;
    va_start(args, format);
    vsnprintf(r->message, sizeof r->message, format, args);
    va_end(args);
    r->verdict = verdict;
    snprintf(r->stage, sizeof r->stage, "%s", stage);
    name_structural(r);
}

void gr__report_fault(gr_check_report *r, const gr__function *f)
{
    gr__report(r, GR_FAIL, f->fault_stage ? f->fault_stage : "S0", "%s", f->fault);
}

/* Whether `part` has more to say than what the whole says so far. */
static bool outranks(const gr_check_report *part, const gr_check_report *whole)
{
    static const int rank[] = {[GR_PASS] = 0, [GR_INCONCLUSIVE] = 1, [GR_FAIL] = 2};
    if (part->verdict != whole->verdict) return rank[part->verdict] > rank[whole->verdict];
    if (part->verdict != GR_PASS) return false;
    return part->worst > whole->worst || !whole->message[0];
}

void gr__report_merge(gr_check_report *whole, const gr_check_report *part, const char *format, ...)
{
    const gr_check_report before = *whole;
    bool changes = outranks(part, whole);
    if (changes) {
        char where[200];
        va_list args;
        va_start(args, format);
        vsnprintf(where, sizeof where, format, args);
        va_end(args);
        *whole = *part;
        const char *colon = where[0] && part->message[0] ? ": " : "";
        snprintf(whole->message, sizeof whole->message, "%s%s%.430s", where, colon, part->message);
    }
    whole->worst = fmax(before.worst, part->worst);
    whole->evaluations = before.evaluations + part->evaluations;
    whole->kink = before.kink || part->kink;
}
