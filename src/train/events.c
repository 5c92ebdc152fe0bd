/* events.c - the event files that TensorBoard reads.
 *
 * A record: length (8 bytes), its checksum, the data, its checksum; numbers little-endian. A checksum
 * is CRC-32C, turned by 15 bits and moved by a constant. The fields are those of TensorFlow's
 * event.proto and summary.proto.
 */
/* SPDX-License-Identifier: MIT */
#include "events.h"

#include <math.h>
#include <string.h>

/* --- checksums --- */

uint32_t gr__crc32c(const void *bytes, size_t n)
{
    const unsigned char *at = bytes;
    uint32_t crc = 0xFFFFFFFFu;
    for (size_t i = 0; i < n; i++) {
        crc ^= at[i];
        for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (crc & 1 ? 0x82F63B78u : 0);
    }
    return ~crc;
}

static uint32_t masked(const void *bytes, size_t n)
{
    uint32_t crc = gr__crc32c(bytes, n);
    return (crc >> 15 | crc << 17) + 0xA282EAD8u;
}

/* --- protocol buffers --- */

enum { VARINT = 0, EIGHT_BYTES = 1, BYTES = 2, FOUR_BYTES = 5 };

static void add_little(gr__text *t, uint64_t value, int bytes)
{
    unsigned char out[8];
    for (int i = 0; i < bytes; i++) out[i] = (unsigned char)(value >> 8 * i);
    gr__text_add_bytes(t, out, (size_t)bytes);
}

static void add_varint(gr__text *t, uint64_t value)
{
    unsigned char out[10];
    size_t n = 0;
    for (; value >= 0x80; value >>= 7) out[n++] = (unsigned char)(value | 0x80);
    out[n++] = (unsigned char)value;
    gr__text_add_bytes(t, out, n);
}

static void add_key(gr__text *t, int field, int type)
{
    add_varint(t, (uint64_t)field << 3 | (uint64_t)type);
}

static void add_double(gr__text *t, int field, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    add_key(t, field, EIGHT_BYTES);
    add_little(t, bits, 8);
}

static void add_float(gr__text *t, int field, float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    add_key(t, field, FOUR_BYTES);
    add_little(t, bits, 4);
}

static void add_message(gr__text *t, int field, const void *bytes, size_t n)
{
    add_key(t, field, BYTES);
    add_varint(t, n);
    if (n) gr__text_add_bytes(t, bytes, n);
}

static void add_doubles(gr__text *t, int field, const double *values, int n)
{
    add_key(t, field, BYTES);
    add_varint(t, 8 * (uint64_t)n);
    for (int i = 0; i < n; i++) {
        uint64_t bits;
        memcpy(&bits, &values[i], sizeof bits);
        add_little(t, bits, 8);
    }
}

/* --- records --- */

static void add_record(gr__text *out, gr__text *event)
{
    unsigned char length[8];
    for (int i = 0; i < 8; i++) length[i] = (unsigned char)((uint64_t)event->len >> 8 * i);
    if (event->failed) out->failed = true;
    else {
        gr__text_add_bytes(out, length, sizeof length);
        add_little(out, masked(length, sizeof length), 4);
        gr__text_add_bytes(out, event->data, event->len);
        add_little(out, masked(event->data, event->len), 4);
    }
    gr__text_release(event);
}

/* An Event with one value in its Summary; `value` holds what that has besides its tag. */
static void add_value(gr__text *out, double time, int64_t step, const char *tag, gr__text *value)
{
    gr__text event = {0}, summary = {0}, whole = {0};
    add_message(&whole, 1, tag, strlen(tag));
    if (value->len) gr__text_add_bytes(&whole, value->data, value->len); /* none: memory is out */
    add_message(&summary, 1, whole.data, whole.len);
    add_double(&event, 1, time);
    add_key(&event, 2, VARINT);
    add_varint(&event, (uint64_t)step);
    add_message(&event, 5, summary.data, summary.len);
    event.failed |= whole.failed || summary.failed || value->failed;
    add_record(out, &event);
    gr__text_release(value);
    gr__text_release(&whole);
    gr__text_release(&summary);
}

void gr__event_version(gr__text *out, double time)
{
    static const char version[] = "brain.Event:2";
    gr__text event = {0};
    add_double(&event, 1, time);
    add_message(&event, 3, version, sizeof version - 1);
    add_record(out, &event);
}

void gr__event_scalar(gr__text *out, double time, int64_t step, const char *tag, double value)
{
    gr__text body = {0};
    add_float(&body, 2, (float)value);
    add_value(out, time, step, tag, &body);
}

/* --- histograms --- */

enum { BUCKETS = 30 };

static double value_at(gr_dtype dtype, const void *values, int64_t i)
{
    return dtype == GR_F32 ? (double)((const float *)values)[i] : ((const double *)values)[i];
}

typedef struct moments {
    double n, min, max, sum, squares;
} moments;

/* Of the finite values; the others are left out. */
static moments moments_of(gr_dtype dtype, const void *values, int64_t n)
{
    moments m = {0, INFINITY, -INFINITY, 0, 0};
    for (int64_t i = 0; i < n; i++) {
        double x = value_at(dtype, values, i);
        if (!isfinite(x)) continue;
        m.n++;
        m.min = fmin(m.min, x);
        m.max = fmax(m.max, x);
        m.sum += x;
        m.squares += x * x;
    }
    return m.n > 0 ? m : (moments){0};
}

/* Bucket i reaches up to limit[i]; they are equally wide. */
static void fill_buckets(gr_dtype dtype, const void *values, int64_t n, const moments *m,
                         double *limit, double *bucket)
{
    double width = (m->max - m->min) / BUCKETS;
    for (int i = 0; i < BUCKETS; i++) limit[i] = m->min + (i + 1) * width;
    limit[BUCKETS - 1] = m->max;
    memset(bucket, 0, BUCKETS * sizeof *bucket);
    for (int64_t i = 0; i < n; i++) {
        double x = value_at(dtype, values, i);
        if (!isfinite(x)) continue;
        int place = width > 0 ? (int)fmin((x - m->min) / width, BUCKETS - 1) : BUCKETS - 1;
        bucket[place]++;
    }
}

void gr__event_histogram(gr__text *out, double time, int64_t step, const char *tag, gr_dtype dtype,
                         const void *values, int64_t n)
{
    double limit[BUCKETS], bucket[BUCKETS];
    moments m = moments_of(dtype, values, n);
    const double numbers[] = {m.min, m.max, m.n, m.sum, m.squares};
    gr__text histogram = {0}, body = {0};
    fill_buckets(dtype, values, n, &m, limit, bucket);
    for (int i = 0; i < 5; i++) add_double(&histogram, i + 1, numbers[i]);
    add_doubles(&histogram, 6, limit, BUCKETS);
    add_doubles(&histogram, 7, bucket, BUCKETS);
    add_message(&body, 5, histogram.data, histogram.len);
    body.failed |= histogram.failed;
    add_value(out, time, step, tag, &body);
    gr__text_release(&histogram);
}
