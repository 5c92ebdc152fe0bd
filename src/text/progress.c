/* progress.c - a progress bar. */
/* SPDX-License-Identifier: MIT */
#include "progress.h"
#include "text.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { BAR = 24, LINE = 512 };

/* --- the terminal --- */

bool gr__is_terminal(FILE *out)
{
    const char *term = getenv("TERM");
    return out && isatty(fileno(out)) && term && strcmp(term, "dumb");
}

bool gr__may_color(FILE *out)
{
    const char *no_color = getenv("NO_COLOR");
    return gr__is_terminal(out) && !(no_color && *no_color);
}

static bool has_unicode(void)
{
    static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};
    for (int i = 0; i < 3; i++) {
        const char *value = getenv(names[i]);
        if (value && *value) return strstr(value, "UTF-8") || strstr(value, "utf8");
    }
    return false;
}

static size_t terminal_width(FILE *out)
{
    struct winsize size;
    if (ioctl(fileno(out), TIOCGWINSZ, &size) || size.ws_col < 20) return 80;
    return size.ws_col;
}

double gr__seconds(void)
{
    return 1e-9 * (double)gr__nanoseconds();
}

/* --- the line --- */

/* Cuts text after so many characters, so that the line does not wrap. */
static void cut(char *text, size_t characters)
{
    size_t n = strlen(text), i = 0;
    for (; i < n && characters; characters--) {
        size_t step = gr__utf8_step(text + i, n - i);
        i += step ? step : 1;
    }
    text[i] = 0;
}

static void draw_bar(const gr__progress *p, int64_t done)
{
    double part = p->total > 0 ? (double)done / (double)p->total : 0;
    int filled = part < 0 ? 0 : part > 1 ? BAR : (int)(part * BAR);
    const char *full = p->unicode ? "\xE2\x94\x81" : "=", *rest = p->unicode ? "\xE2\x94\x80" : "-";
    if (p->color) fputs("\033[36m", p->out);
    for (int i = 0; i < filled; i++) fputs(full, p->out);
    if (p->color) fputs("\033[90m", p->out);
    for (int i = filled; i < BAR; i++) fputs(rest, p->out);
    if (p->color) fputs("\033[0m", p->out);
}

/* title, bar, then as much of count, rate, time left and note as fits. */
static void draw(const gr__progress *p, int64_t done, const char *note, double now)
{
    char head[128], tail[LINE + 80];
    double left = done > 0 ? (now - p->begun) * (double)(p->total - done) / (double)done : 0;
    snprintf(head, sizeof head, "%s", p->title);
    double rate = now > p->begun ? (double)done / (now - p->begun) : 0;
    snprintf(tail, sizeof tail, " %lld/%lld  %.*f/s  %.0f s left  %s", (long long)done,
             (long long)p->total, rate < 10, rate, left, note);
    size_t width = terminal_width(p->out) - 1, fixed = BAR + 1;
    cut(head, width > fixed ? width - fixed : 0);
    size_t used = gr__utf8_length(head, strlen(head)) + fixed;
    cut(tail, width > used ? width - used : 0);
    fprintf(p->out, "\r\033[K%s ", head);
    if (width > fixed) draw_bar(p, done);
    fputs(tail, p->out);
    fflush(p->out);
}

/* --- public within the library --- */

void gr__progress_begin(gr__progress *p, FILE *out, const char *title, int64_t total)
{
    *p = (gr__progress){.out = out, .title = title, .total = total, .unicode = has_unicode()};
    p->terminal = gr__is_terminal(out);
    p->color = gr__may_color(out);
    p->begun = gr__seconds();
    p->drawn = p->begun - 1;
}

bool gr__progress_due(const gr__progress *p)
{
    return p->out && p->terminal && gr__seconds() - p->drawn >= 0.1;
}

void gr__progress_show(gr__progress *p, int64_t done, const char *format, ...)
{
    if (!gr__progress_due(p)) return;
    double now = gr__seconds();
    char note[LINE];
    va_list args;
    va_start(args, format);
    vsnprintf(note, sizeof note, format, args);
    va_end(args);
    draw(p, done, note, now);
    p->drawn = now;
}

void gr__progress_end(gr__progress *p, const char *format, ...)
{
    if (!p->out) return;
    char note[LINE];
    va_list args;
    va_start(args, format);
    vsnprintf(note, sizeof note, format, args);
    va_end(args);
    fprintf(p->out, "%s%s  %s  %.1f s\n", p->terminal ? "\r\033[K" : "", p->title, note,
            gr__seconds() - p->begun);
    fflush(p->out);
}
