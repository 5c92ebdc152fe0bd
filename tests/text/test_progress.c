/* test_progress.c - a bar on terminals, plain lines elsewhere. */
/* SPDX-License-Identifier: MIT */
#define _XOPEN_SOURCE 700
#include "progress.h"
#include "suite.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static char shown[8192];

/* Runs a job of four steps on `out` and closes it. */
static void run_job(FILE *out)
{
    gr__progress p;
    gr__progress_begin(&p, out, "epoch 1/2", 4);
    for (int i = 1; i <= 4; i++) {
        gr__progress_show(&p, i, "loss %.1f", 1.5);
        p.drawn -= 1; /* as if a second had passed */
    }
    gr__progress_end(&p, "loss %.1f", 0.5);
}

static void run_in_file(void)
{
    FILE *out = tmpfile();
    run_job(out);
    rewind(out);
    shown[fread(shown, 1, sizeof shown - 1, out)] = 0;
    fclose(out);
}

/* On a terminal of its own; false where the system has none to give. */
static bool run_in_terminal(void)
{
    int master = posix_openpt(O_RDWR | O_NOCTTY);
    if (master < 0 || grantpt(master) || unlockpt(master)) return false;
    int slave = open(ptsname(master), O_RDWR | O_NOCTTY);
    if (slave < 0) return false;
    FILE *out = fdopen(slave, "w");
    run_job(out);
    fclose(out);
    size_t got = 0;
    for (ssize_t n; (n = read(master, shown + got, sizeof shown - 1 - got)) > 0;) got += (size_t)n;
    shown[got] = 0;
    close(master);
    return true;
}

START_TEST(a_file_gets_one_plain_line)
{
    run_in_file();
    ck_assert_ptr_eq(strchr(shown, '\033'), NULL);
    ck_assert_ptr_eq(strchr(shown, '\r'), NULL);
    ck_assert_int_eq(strncmp(shown, "epoch 1/2  loss 0.5  ", 21), 0);
    ck_assert_ptr_eq(strchr(shown, '\n'), shown + strlen(shown) - 1);
}
END_TEST

START_TEST(a_terminal_gets_a_bar_in_colour)
{
    setenv("TERM", "xterm", 1);
    setenv("LC_ALL", "C", 1);
    unsetenv("NO_COLOR");
    if (!run_in_terminal()) return;
    ck_assert_ptr_nonnull(strstr(shown, "\033[36m======"));
    ck_assert_ptr_nonnull(strstr(shown, " 2/4 "));
    ck_assert_ptr_nonnull(strstr(shown, "/s  "));
    ck_assert_ptr_nonnull(strstr(shown, " s left  "));
    ck_assert_ptr_nonnull(strstr(shown, "loss 1.5"));
    ck_assert_ptr_nonnull(strstr(shown, "\r\033[Kepoch 1/2  loss 0.5  "));
}
END_TEST

START_TEST(no_color_is_respected)
{
    setenv("TERM", "xterm", 1);
    setenv("LC_ALL", "C", 1);
    setenv("NO_COLOR", "1", 1);
    if (!run_in_terminal()) return;
    ck_assert_ptr_nonnull(strstr(shown, "======"));
    ck_assert_ptr_eq(strstr(shown, "\033[36m"), NULL);
    ck_assert_ptr_eq(strstr(shown, "\033[0m"), NULL);
}
END_TEST

START_TEST(a_dumb_terminal_gets_plain_lines)
{
    setenv("TERM", "dumb", 1);
    if (!run_in_terminal()) return;
    ck_assert_ptr_eq(strchr(shown, '\033'), NULL);
    ck_assert_int_eq(strncmp(shown, "epoch 1/2  loss 0.5  ", 21), 0);
}
END_TEST

START_TEST(without_a_file_nothing_happens)
{
    run_job(NULL);
    ck_assert(!gr__may_color(NULL));
}
END_TEST

SUITE("progress", NULL, NULL, a_file_gets_one_plain_line, a_terminal_gets_a_bar_in_colour,
      no_color_is_respected, a_dumb_terminal_gets_plain_lines, without_a_file_nothing_happens)
