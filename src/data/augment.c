/* augment.c - images changed at random: moved, mirrored, cropped, turned, bent, made noisy.
 *
 * Crop, rotation and bending are one map from the places of the new image to places of the old
 *
 *   (row, column) = centre + offset + share * R(angle) (row' - centre, column' - centre) + bend
 *
 * and one bilinear look-up there, so that an image is blurred once, not thrice.
 */
/* SPDX-License-Identifier: MIT */
#include "loader.h"
#include "shuffle.h"

#include <math.h>
#include <string.h>

enum { DEFAULT_SMOOTH = 4, MOST_SMOOTH = 1000 };

/* Which number of a sample's stream decides what; a stream of their own for whole images. */
enum choice { FLIP, SHARE, DOWN, RIGHT, ANGLE, BEND, NOISE };

/* --- options --- */

static gr_status fail_option(const char *name, const char *expected, double got)
{
    return gr__fail(GR_ERR_ARGUMENT, "loader: expected augment.%s %s, got %g", name, expected, got);
}

static gr_status check_numbers(const gr_augment *o)
{
    if (!(o->flip >= 0 && o->flip <= 1)) return fail_option("flip", "from 0 to 1", o->flip);
    if (!(o->crop >= 0 && o->crop <= 1)) return fail_option("crop", "from 0 to 1", o->crop);
    if (!(o->rotate >= 0 && o->rotate <= 180))
        return fail_option("rotate", "from 0 to 180 degrees", o->rotate);
    if (!(o->elastic >= 0 && isfinite(o->elastic)))
        return fail_option("elastic", "of 0 or more pixels", o->elastic);
    if (!(o->smooth >= 0 && o->smooth <= MOST_SMOOTH))
        return fail_option("smooth", "from 0 to 1000 pixels", o->smooth);
    if (!(o->noise >= 0 && isfinite(o->noise)))
        return fail_option("noise", "of 0 or more", o->noise);
    return GR_OK;
}

static gr_status check_shape(const gr_shape *sample, const gr_loader_options *o)
{
    char text[GR_SHAPE_TEXT];
    const gr_augment *a = &o->augment;
    int rank = sample->rank;
    int64_t least = 0;
    if (rank >= 2) {
        int64_t height = sample->dim[rank - 2], width = sample->dim[rank - 1];
        least = height < width ? height : width;
    }
    if (o->shift && (o->shift < 0 || o->shift >= least))
        return gr__fail(GR_ERR_ARGUMENT, "loader: cannot shift samples %s by up to %d pixels",
                        gr_shape_text(sample, text), o->shift);
    if (least < 1 && (a->flip > 0 || a->crop > 0 || a->rotate > 0 || a->elastic > 0))
        return gr__fail(GR_ERR_ARGUMENT,
                        "loader: flip, crop, rotate and elastic need samples [..., height, width],"
                        " got %s",
                        gr_shape_text(sample, text));
    return GR_OK;
}

/* --- lifetime --- */

/* exp(-x^2 / 2 smooth^2) at the whole places, out to three deviations. */
static gr_status make_bell(gr__augment *a)
{
    double sum = 0, smooth = a->o.smooth;
    int64_t side = a->height > a->width ? a->height : a->width;
    a->reach = (int64_t)ceil(3 * smooth);
    if (a->reach > side) a->reach = side;
    a->bell = gr__alloc((size_t)(2 * a->reach + 1) * sizeof *a->bell);
    if (!a->bell) return GR_ERR_MEMORY;
    for (int64_t i = -a->reach; i <= a->reach; i++) {
        double x = (double)i / smooth;
        a->bell[i + a->reach] = (float)exp(-x * x / 2);
        sum += (double)a->bell[i + a->reach];
    }
    for (int64_t i = 0; i <= 2 * a->reach; i++) a->bell[i] = (float)((double)a->bell[i] / sum);
    return GR_OK;
}

gr_status gr__augment_init(gr__augment *a, const gr_shape *sample, const gr_loader_options *o)
{
    int64_t all = gr_shape_numel(sample);
    int rank = sample->rank;
    *a = (gr__augment){.o = o->augment, .shift = o->shift, .fill = (float)o->fill};
    if (a->o.smooth == 0) a->o.smooth = DEFAULT_SMOOTH;
    gr_status status = check_numbers(&o->augment);
    if (!status) status = check_shape(sample, o);
    if (status) return status;
    a->height = rank >= 2 ? sample->dim[rank - 2] : 1;
    a->width = rank >= 2 ? sample->dim[rank - 1] : all;
    int64_t plane = a->height * a->width;
    a->planes = plane ? all / plane : 0;
    a->room = gr__alloc((size_t)all * sizeof *a->room);
    if (!a->room) return GR_ERR_MEMORY;
    if (a->o.elastic == 0) return GR_OK;
    a->field = gr__alloc((size_t)(3 * plane) * sizeof *a->field);
    return a->field ? make_bell(a) : GR_ERR_MEMORY;
}

void gr__augment_release(gr__augment *a)
{
    gr__free(a->field);
    gr__free(a->room);
    gr__free(a->bell);
}

/* --- shift and flip: exact --- */

/* Copies a plane [height, width] moved by down rows and right columns; `fill` enters. */
static void shift_plane(const gr__augment *a, const float *from, float *to, int64_t down,
                        int64_t right)
{
    int64_t width = a->width;
    int64_t begin = right > 0 ? right : 0, end = right < 0 ? width + right : width;
    for (int64_t r = 0; r < a->height; r++, to += width) {
        bool outside = r - down < 0 || r - down >= a->height;
        for (int64_t c = 0; c < width; c++)
            if (outside || c < begin || c >= end) to[c] = a->fill;
        if (!outside)
            memcpy(to + begin, from + (r - down) * width + begin - right,
                   (size_t)(end - begin) * sizeof *to);
    }
}

static void shift(gr__augment *a, uint64_t stream, int64_t sample, float *x)
{
    int64_t reach = a->shift, choices = 2 * reach + 1, plane = a->height * a->width;
    uint64_t first = 2 * (uint64_t)sample;
    int64_t down = gr__below(stream, first, choices) - reach;
    int64_t right = gr__below(stream, first + 1, choices) - reach;
    memcpy(a->room, x, (size_t)(a->planes * plane) * sizeof *x);
    for (int64_t p = 0; p < a->planes; p++)
        shift_plane(a, a->room + p * plane, x + p * plane, down, right);
}

static void flip(const gr__augment *a, float *x)
{
    for (int64_t r = 0; r < a->planes * a->height; r++, x += a->width)
        for (int64_t i = 0, j = a->width - 1; i < j; i++, j--) {
            float held = x[i];
            x[i] = x[j];
            x[j] = held;
        }
}

/* --- many random numbers --- */

static void draw_bits(uint64_t stream, int64_t block, uint32_t bits[4])
{
    const uint64_t at = (uint64_t)block;
    const uint32_t counter[4] = {(uint32_t)at, (uint32_t)(at >> 32), 0, 0};
    const uint32_t key[2] = {(uint32_t)stream, (uint32_t)(stream >> 32)};
    gr__philox(counter, key, bits);
}

/* Adds normal numbers (Box and Muller) of this deviation, two at a time. */
static void add_noise(uint64_t stream, float deviation, float *x, int64_t n)
{
    uint32_t bits[4];
    for (int64_t i = 0; i < n; i += 2) {
        if (i % 4 == 0) draw_bits(stream, i / 4, bits);
        const uint32_t *own = bits + i % 4;
        float radius = deviation * sqrtf(-2 * logf(((float)(own[0] >> 8) + 0.5f) * 0x1p-24f));
        float angle = (float)(own[1] >> 8) * (0x1p-24f * 6.28318531f);
        x[i] += radius * cosf(angle);
        if (i + 1 < n) x[i + 1] += radius * sinf(angle);
    }
}

/* --- bending --- */

/* to += weight * from */
static void add_scaled(float *to, const float *from, int64_t n, float weight)
{
    for (int64_t i = 0; i < n; i++) to[i] += weight * from[i];
}

/* Smooths each row of a field; beyond its ends lie zeros. */
static void smooth_rows(const gr__augment *a, const float *from, float *to)
{
    int64_t w = a->width;
    memset(to, 0, (size_t)(a->height * w) * sizeof *to);
    for (int64_t r = 0; r < a->height; r++, from += w, to += w)
        for (int64_t k = -a->reach; k <= a->reach; k++) {
            int64_t begin = k < 0 ? -k : 0, end = k > 0 ? w - k : w;
            if (begin < end)
                add_scaled(to + begin, from + begin + k, end - begin, a->bell[k + a->reach]);
        }
}

static void smooth_columns(const gr__augment *a, const float *from, float *to)
{
    int64_t h = a->height, w = a->width;
    memset(to, 0, (size_t)(h * w) * sizeof *to);
    for (int64_t r = 0; r < h; r++)
        for (int64_t k = -a->reach; k <= a->reach; k++)
            if (r + k >= 0 && r + k < h)
                add_scaled(to + r * w, from + (r + k) * w, w, a->bell[k + a->reach]);
}

/* A smooth random field [height, width] whose root mean square is o.elastic. */
static void make_field(gr__augment *a, uint64_t stream, float *field, float *room)
{
    int64_t n = a->height * a->width;
    double squares = 0;
    uint32_t bits[4];
    for (int64_t i = 0; i < n; i++) {
        if (i % 4 == 0) draw_bits(stream, i / 4, bits);
        field[i] = (float)((double)bits[i % 4] * 0x1p-31 - 1);
    }
    smooth_rows(a, field, room);
    smooth_columns(a, room, field);
    for (int64_t i = 0; i < n; i++) squares += (double)field[i] * (double)field[i];
    double scale = squares > 0 ? a->o.elastic / sqrt(squares / (double)n) : 0;
    for (int64_t i = 0; i < n; i++) field[i] = (float)((double)field[i] * scale);
}

/* --- the map --- */

/* Pixel of a plane, or what lies around it. */
static double pixel(const gr__augment *a, const float *plane, int64_t r, int64_t c)
{
    bool inside = r >= 0 && r < a->height && c >= 0 && c < a->width;
    return (double)(inside ? plane[r * a->width + c] : a->fill);
}

/* Between the four pixels around (row, column). */
static float look_up(const gr__augment *a, const float *plane, double row, double column)
{
    if (!(row > -1 && row < (double)a->height && column > -1 && column < (double)a->width))
        return a->fill;
    int64_t r = (int64_t)(row + 1) - 1, c = (int64_t)(column + 1) - 1; /* rounded down: both > -1 */
    double down = row - (double)r, right = column - (double)c;
    double upper = (1 - right) * pixel(a, plane, r, c) + right * pixel(a, plane, r, c + 1);
    double lower = (1 - right) * pixel(a, plane, r + 1, c) + right * pixel(a, plane, r + 1, c + 1);
    return (float)((1 - down) * upper + down * lower);
}

typedef struct map {
    double cos, sin;    /* times the share */
    double row, column; /* where the new centre lies in the old image */
    const float *bend;  /* [2, height, width], NULL: none */
} map;

static map choose_map(gr__augment *a, uint64_t stream)
{
    double share = 1, angle = 0;
    double half_height = (double)(a->height - 1) / 2, half_width = (double)(a->width - 1) / 2;
    if (a->o.crop > 0) share = a->o.crop + (1 - a->o.crop) * gr__random_uniform(stream, SHARE);
    double down = (1 - share) * half_height * (2 * gr__random_uniform(stream, DOWN) - 1);
    double right = (1 - share) * half_width * (2 * gr__random_uniform(stream, RIGHT) - 1);
    if (a->o.rotate > 0)
        angle = a->o.rotate * (2 * gr__random_uniform(stream, ANGLE) - 1) / 180 *
                3.14159265358979324;
    return (map){.cos = share * cos(angle),
                 .sin = share * sin(angle),
                 .row = half_height + down,
                 .column = half_width + right,
                 .bend = a->field};
}

static void warp_plane(const gr__augment *a, const map *m, const float *from, float *to)
{
    int64_t plane = a->height * a->width, i = 0;
    for (int64_t r = 0; r < a->height; r++)
        for (int64_t c = 0; c < a->width; c++, i++) {
            double u = (double)r - (double)(a->height - 1) / 2;
            double v = (double)c - (double)(a->width - 1) / 2;
            double row = m->row + m->cos * u - m->sin * v;
            double column = m->column + m->sin * u + m->cos * v;
            if (m->bend) {
                row += (double)m->bend[i];
                column += (double)m->bend[plane + i];
            }
            to[i] = look_up(a, from, row, column);
        }
}

static void warp(gr__augment *a, uint64_t stream, float *x)
{
    int64_t plane = a->height * a->width;
    map m = choose_map(a, stream);
    for (int k = 0; a->field && k < 2; k++)
        make_field(a, gr__hash_join(stream, BEND + 10 * (uint64_t)k), a->field + k * plane,
                   a->field + 2 * plane);
    memcpy(a->room, x, (size_t)(a->planes * plane) * sizeof *x);
    for (int64_t p = 0; p < a->planes; p++) warp_plane(a, &m, a->room + p * plane, x + p * plane);
}

/* --- a sample --- */

void gr__augment_apply(gr__augment *a, uint64_t seed, uint64_t pass, int64_t sample, float *x)
{
    uint64_t stream = gr__hash_join(gr__stream_of(seed, pass, GR__CHANGES), (uint64_t)sample);
    if (a->shift) shift(a, gr__stream_of(seed, pass, GR__SHIFTS), sample, x);
    if (a->o.flip > 0 && gr__random_uniform(stream, FLIP) < a->o.flip) flip(a, x);
    if (a->o.crop > 0 || a->o.rotate > 0 || a->o.elastic > 0) warp(a, stream, x);
    if (a->o.noise > 0)
        add_noise(gr__hash_join(stream, NOISE), (float)a->o.noise, x,
                  a->planes * a->height * a->width);
}

/* --- mixup --- */

/* Gamma(alpha, 1) by rejection (Marsaglia and Tsang 2000); below 1 from Gamma(alpha + 1). */
static double gamma_draw(double alpha, uint64_t stream)
{
    double shape = alpha < 1 ? alpha + 1 : alpha, d = shape - 1.0 / 3, c = 1 / sqrt(9 * d);
    for (uint64_t i = 0;; i++) {
        double x = gr__random_normal(stream, 2 * i), t = 1 + c * x;
        double v = t * t * t, u = gr__random_uniform(stream, (1u << 20) + i);
        if (t <= 0 || log(u) >= x * x / 2 + d - d * v + d * log(v)) continue;
        if (alpha >= 1) return d * v;
        return d * v * pow(gr__random_uniform(stream, 1u << 19), 1 / alpha);
    }
}

double gr__mixup_share(double alpha, uint64_t stream, uint64_t index)
{
    uint64_t own = gr__hash_join(stream, index);
    double a = gamma_draw(alpha, gr__hash_join(own, 1)),
           b = gamma_draw(alpha, gr__hash_join(own, 2));
    return a + b > 0 ? a / (a + b) : 0.5;
}
