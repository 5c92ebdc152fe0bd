/* test_events.c - event files hold the bytes that TensorBoard expects. */
/* SPDX-License-Identifier: MIT */
#include "events.h"
#include "scratch.h"
#include "suite.h"
#include "toy.h"

#include <dirent.h>
#include <math.h>
#include <string.h>

/* RFC 3720, B.4, and the check value of the catalogue of CRCs. */
START_TEST(the_checksum_is_castagnolis)
{
    char zeros[32] = {0}, ones[32];
    memset(ones, 0xFF, sizeof ones);
    ck_assert_uint_eq(gr__crc32c("123456789", 9), 0xE3069283u);
    ck_assert_uint_eq(gr__crc32c(zeros, 32), 0x8A9136AAu);
    ck_assert_uint_eq(gr__crc32c(ones, 32), 0x62A8AB43u);
}
END_TEST

/* Every event file of TensorFlow begins so, up to the time. */
START_TEST(a_file_begins_with_its_version)
{
    static const unsigned char begin[] = {0x18, 0, 0, 0, 0, 0, 0, 0, 0xA3, 0x7F, 0x4B, 0x22, 0x09};
    gr__text t = {0};
    gr__event_version(&t, 1.5);
    ck_assert_uint_eq(t.len, 8 + 4 + 24 + 4);
    ck_assert_mem_eq(t.data, begin, sizeof begin);
    ck_assert_mem_eq(t.data + 21,
                     "\x1a\x0d"
                     "brain.Event:2",
                     15);
    gr__text_release(&t);
}
END_TEST

/* Encoded by hand: time 1.5, step 300, summary { value { tag "loss", simple_value 0.25 } }. */
START_TEST(a_scalar_is_a_summary_with_one_value)
{
    static const unsigned char data[] = {0x09, 0,    0,    0,    0,   0,
                                         0,    0xF8, 0x3F,     /* 1: 1.5 */
                                         0x10, 0xAC, 0x02,     /* 2: 300 */
                                         0x2A, 13,   0x0A, 11, /* 5: summary, 1: value */
                                         0x0A, 4,    'l',  'o',  's', 's', /* 1: tag */
                                         0x15, 0,    0,    0x80, 0x3E};    /* 2: 0.25 */
    gr__text t = {0};
    gr__event_scalar(&t, 1.5, 300, "loss", 0.25);
    ck_assert_uint_eq(t.len, 8 + 4 + sizeof data + 4);
    ck_assert_int_eq(t.data[0], (int)sizeof data);
    ck_assert_mem_eq(t.data + 12, data, sizeof data);
    uint32_t crc = gr__crc32c(data, sizeof data), masked = (crc >> 15 | crc << 17) + 0xA282EAD8u;
    unsigned char last[4];
    for (int i = 0; i < 4; i++) last[i] = (unsigned char)(masked >> 8 * i);
    ck_assert_mem_eq(t.data + 12 + sizeof data, last, 4);
    gr__text_release(&t);
}
END_TEST

static double number(const char *at)
{
    double x;
    memcpy(&x, at, sizeof x);
    return x;
}

START_TEST(a_histogram_counts_every_finite_value)
{
    const float values[] = {-1, 0, 0, 2, NAN, 1};
    gr__text t = {0};
    gr__event_histogram(&t, 0, 1, "w", GR_F32, values, 6);
    /* time, step; summary, value (lengths of two bytes); tag; histo: five numbers, two lists */
    const char *at = t.data + 12 + 9 + 2 + 3 + 3 + 3 + 3;
    ck_assert_double_eq(number(at + 1), -1);
    ck_assert_double_eq(number(at + 10), 2);
    ck_assert_double_eq(number(at + 19), 5);
    ck_assert_double_eq(number(at + 28), 2);
    ck_assert_double_eq(number(at + 37), 6);
    const char *limits = at + 45 + 3, *buckets = limits + 8 * 30 + 3;
    double sum = 0;
    for (int i = 0; i < 30; i++) sum += number(buckets + 8 * i);
    ck_assert_double_eq(sum, 5);
    ck_assert_double_eq(number(limits + 8 * 29), 2);
    ck_assert_double_eq(number(buckets), 1);      /* -1 */
    ck_assert_double_eq(number(buckets + 80), 2); /* the zeros */
    ck_assert_uint_eq(t.len, (size_t)(buckets - t.data) + 8 * 30 + 4);
    gr__text_release(&t);
}
END_TEST

/* --- the callback --- */

static int records_in(const char *data, size_t bytes)
{
    int n = 0;
    for (size_t at = 0; at < bytes; n++) {
        uint64_t length;
        memcpy(&length, data + at, sizeof length);
        at += 12 + length + 4;
        ck_assert_uint_le(at, bytes);
    }
    return n;
}

START_TEST(an_epoch_adds_scalars_and_histograms)
{
    scratch_begin();
    gr_dataset *data = toy_stripes(100);
    toy t = toy_new(1, 0.01);
    gr_tensorboard_options histograms = {.histograms = 2};
    gr_fit_options o = {.epochs = 3,
                        .validation_split = 0.2,
                        .metrics = GR_MEASURE(gr_metric_top_k(2)),
                        .callbacks = GR_CALLBACKS(gr_tensorboard(scratch_folder(), histograms))};
    ck_assert_msg(!gr_fit(t.net, t.opt, data, o, NULL), "%s", gr_last_error());
    ck_assert_int_eq(scratch_files(), 1);
    DIR *folder = opendir(scratch_folder());
    struct dirent *file;
    while ((file = readdir(folder)) && file->d_name[0] == '.') continue;
    ck_assert_int_eq(strncmp(file->d_name, "events.out.tfevents.", 20), 0);
    size_t bytes;
    char *content = scratch_read(file->d_name, &bytes);
    ck_assert_int_eq(records_in(content, bytes), 1 + 3 * 7 + 4);
    free(content);
    closedir(folder);
    toy_free(&t);
    gr_dataset_free(data);
    scratch_end();
}
END_TEST

SUITE("events", NULL, NULL, the_checksum_is_castagnolis, a_file_begins_with_its_version,
      a_scalar_is_a_summary_with_one_value, a_histogram_counts_every_finite_value,
      an_epoch_adds_scalars_and_histograms)
