/* Stimuli that are drawn: gratings, noise and shapes. include/nissl/stimuli.h states what they are.
 */
#include <stdio.h>

#include "recording/stimuli.h"

#define MAX_OPTIONS 16
#define MAX_LIST    256
#define MAX_STIMULI ((int64_t)10000000)

/* ---- options: "name:key=a,b,key2=c" ---- */

typedef struct option {
    const char *key;
    int first, n; /* values */
    bool used;
} option;

typedef struct options {
    char *text; /* cut into pieces */
    const char *path;
    option items[MAX_OPTIONS];
    int n_items;
    const char *values[MAX_LIST];
    int n_values;
} options;

static nissl_status options_parse(const char *path, options *out, nissl_error *err)
{
    char *at, *end;
    out->path = path;
    out->text = nissl__strdup(path);
    if (!out->text)
        return NISSL__NO_MEMORY(err, strlen(path) + 1);
    at = strchr(out->text, ':');
    for (at = at ? at + 1 : NULL; at && *at; at = end) {
        end = strchr(at, ',');
        if (end)
            *end++ = '\0';
        char *equals = strchr(at, '=');
        if (equals) {
            *equals = '\0';
            if (out->n_items == MAX_OPTIONS)
                return NISSL__FAIL(err, NISSL_ERR_ARGUMENT, "%s: more than %d options", path,
                                   MAX_OPTIONS);
            for (int i = 0; i < out->n_items; i++)
                if (strcmp(out->items[i].key, at) == 0)
                    return NISSL__FAIL(err, NISSL_ERR_ARGUMENT, "%s: \"%.40s\" is given twice",
                                       path, at);
            out->items[out->n_items++] = (option){.key = at, .first = out->n_values};
            at = equals + 1;
        } else if (out->n_items == 0) {
            return NISSL__FAIL(err, NISSL_ERR_ARGUMENT, "%s: \"%.40s\" is no key=value", path, at);
        }
        if (!*at)
            return NISSL__FAIL(err, NISSL_ERR_ARGUMENT, "%s: \"%.40s\" has an empty value", path,
                               out->items[out->n_items - 1].key);
        if (out->n_values == MAX_LIST)
            return NISSL__FAIL(err, NISSL_ERR_ARGUMENT, "%s: more than %d values", path, MAX_LIST);
        out->values[out->n_values++] = at;
        out->items[out->n_items - 1].n++;
    }
    return NISSL_OK;
}

static option *options_find(options *o, const char *key)
{
    for (int i = 0; i < o->n_items; i++)
        if (strcmp(o->items[i].key, key) == 0) {
            o->items[i].used = true;
            return &o->items[i];
        }
    return NULL;
}

/* An option that nobody asked for is a mistake. */
static nissl_status options_check(const options *o, const char *known, nissl_error *err)
{
    for (int i = 0; i < o->n_items; i++)
        if (!o->items[i].used)
            return NISSL__FAIL(err, NISSL_ERR_ARGUMENT, "%s: unknown option \"%.40s\" (known: %s)",
                               o->path, o->items[i].key, known);
    return NISSL_OK;
}

typedef struct numbers {
    int n;
    double v[MAX_LIST];
} numbers;

/* The values of a key, each in low .. high; count says that one whole number n stands for n values
 * i * span / n. */
static nissl_status options_numbers(options *o, const char *key, double low, double high,
                                    bool count, double span, numbers *out, nissl_error *err)
{
    const option *found = options_find(o, key);
    if (!found)
        return NISSL_OK;
    out->n = found->n;
    for (int i = 0; i < found->n; i++) {
        const char *text = o->values[found->first + i];
        bool is_count = count && found->n == 1;
        double least = is_count ? 1 : low, most = is_count ? MAX_LIST : high;
        if (!nissl__parse_number(text, &out->v[i]) || !(out->v[i] >= least && out->v[i] <= most) ||
            (is_count && out->v[i] != floor(out->v[i])))
            return NISSL__FAIL(err, NISSL_ERR_ARGUMENT, "%s: %s = \"%.40s\" is no %s in %g .. %g",
                               o->path, key, text, is_count ? "count" : "number", least, most);
    }
    if (count && found->n == 1) {
        out->n = (int)out->v[0];
        for (int i = 0; i < out->n; i++)
            out->v[i] = i * span / out->n;
    }
    return NISSL_OK;
}

static nissl_status options_integer(options *o, const char *key, double low, double high,
                                    int64_t *out, nissl_error *err)
{
    const option *found = options_find(o, key);
    double value;
    if (!found)
        return NISSL_OK;
    const char *text = o->values[found->first];
    if (found->n != 1 || !nissl__parse_number(text, &value) || value != floor(value) ||
        value < low || value > high)
        return NISSL__FAIL(err, NISSL_ERR_ARGUMENT,
                           "%s: %s = \"%.40s\" is no whole number in %.0f .. %.0f", o->path, key,
                           text, low, high);
    *out = (int64_t)value;
    return NISSL_OK;
}

/* ---- what generators share ---- */

typedef enum shape_kind { CIRCLE, SQUARE, TRIANGLE, CROSS, N_SHAPES } shape_kind;
static const char *const shape_names[N_SHAPES] = {"circle", "square", "triangle", "cross"};

static const struct {
    const char *name;
    float rgb[3];
} colours[] = {
    {"white", {1, 1, 1}}, {"black", {0, 0, 0}},  {"red", {1, 0, 0}},     {"green", {0, 1, 0}},
    {"blue", {0, 0, 1}},  {"yellow", {1, 1, 0}}, {"magenta", {1, 0, 1}}, {"cyan", {0, 1, 1}},
};
#define N_COLOURS ((int)(sizeof colours / sizeof colours[0]))

typedef struct generator_state generator_state;

/* Draws luminance 0 .. 1 into [height, width, channels]. */
typedef void (*draw_fn)(const generator_state *state, int64_t index, float *out);

struct generator_state {
    draw_fn draw;
    int64_t height, width, channels;
    /* gratings */
    numbers orientation, frequency, phase, contrast;
    /* noise */
    int64_t seed;
    /* shapes */
    numbers x, y, size;
    int n_shapes, n_colours;
    shape_kind shape[N_SHAPES];
    int colour[N_COLOURS];
    char *text; /* the generator as it was asked for, for the hash */
};

static void generator_free(void *opaque)
{
    generator_state *state = opaque;
    if (state)
        nissl__free(state->text);
    nissl__free(state);
}

static nissl_status generator_load(const nissl__source *source, int64_t index, nissl__item *out,
                                   nissl_error *err)
{
    const generator_state *state = source->state;
    size_t count = (size_t)(state->height * state->width * state->channels);
    float *values = nissl__alloc(count, sizeof *values);
    if (!values)
        return NISSL__NO_MEMORY(err, count * sizeof *values);
    state->draw(state, index, values);
    for (size_t i = 0; i < count; i++)
        values[i] *= 255;
    *out = (nissl__item){.form = source->form, .values = values, .memory = values};
    return NISSL_OK;
}

static nissl_status generator_hash(const nissl__source *source, nissl__hash *hash, nissl_error *err)
{
    const generator_state *state = source->state;
    const int64_t size[3] = {state->height, state->width, state->channels};
    (void)err;
    nissl__hash_add(hash, state->text, strlen(state->text));
    nissl__hash_add(hash, size, sizeof size);
    return NISSL_OK;
}

static const nissl__source_type generator_type = {"generator", generator_load, generator_hash,
                                                  generator_free};

static double shorter_side(const generator_state *state)
{
    return (double)NISSL__MIN(state->height, state->width);
}

/* ---- gratings ---- */

typedef struct grating {
    double orientation, frequency, phase, contrast;
} grating;

static grating grating_at(const generator_state *state, int64_t index)
{
    grating g;
    g.contrast = state->contrast.v[index % state->contrast.n];
    index /= state->contrast.n;
    g.phase = state->phase.v[index % state->phase.n];
    index /= state->phase.n;
    g.frequency = state->frequency.v[index % state->frequency.n];
    g.orientation = state->orientation.v[index / state->frequency.n];
    return g;
}

static void draw_grating(const generator_state *state, int64_t index, float *out)
{
    const double degree = M_PI / 180;
    grating g = grating_at(state, index);
    double across = (90 - g.orientation) * degree;
    double wave_x = 2 * M_PI * g.frequency * cos(across),
           wave_y = 2 * M_PI * g.frequency * sin(across);
    for (int64_t row = 0; row < state->height; row++)
        for (int64_t column = 0; column < state->width; column++) {
            double x = ((double)column + 0.5 - (double)state->width / 2) / shorter_side(state);
            double y = ((double)row + 0.5 - (double)state->height / 2) / shorter_side(state);
            double carrier = cos(wave_x * x + wave_y * y + g.phase * degree);
            for (int64_t c = 0; c < state->channels; c++)
                *out++ = (float)(0.5 + 0.5 * g.contrast * carrier);
        }
}

static nissl_status parse_gratings(options *o, generator_state *state, int64_t *n, nissl_error *err)
{
    nissl_status status;
    double side = shorter_side(state);
    state->draw = draw_grating;
    state->orientation.n = 12;
    state->phase.n = 4;
    for (int i = 0; i < 12; i++)
        state->orientation.v[i] = i * 180.0 / 12;
    for (int i = 0; i < 4; i++)
        state->phase.v[i] = i * 360.0 / 4;
    for (double f = 2; f <= side / 4; f *= 2)
        state->frequency.v[state->frequency.n++] = f;
    if (state->frequency.n == 0)
        state->frequency.v[state->frequency.n++] = side / 4;
    state->contrast.v[state->contrast.n++] = 1;
    if ((status = options_numbers(o, "orientations", 0, 180, true, 180, &state->orientation,
                                  err)) != NISSL_OK ||
        (status = options_numbers(o, "frequencies", 0, side / 2, false, 0, &state->frequency,
                                  err)) != NISSL_OK ||
        (status = options_numbers(o, "phases", 0, 360, true, 360, &state->phase, err)) !=
            NISSL_OK ||
        (status = options_numbers(o, "contrasts", 0, 1, false, 0, &state->contrast, err)) !=
            NISSL_OK ||
        (status = options_check(o, "orientations, frequencies, phases, contrasts", err)) !=
            NISSL_OK)
        return status;
    *n = (int64_t)state->orientation.n * state->frequency.n * state->phase.n * state->contrast.n;
    return NISSL_OK;
}

static nissl_status number_column(nissl__source *source, const char *name, const char *unit,
                                  double **out, nissl_error *err)
{
    nissl__column *column;
    nissl_status status = nissl__columns_add(&source->columns, name, unit, true, &column, err);
    if (status == NISSL_OK)
        *out = column->value;
    return status;
}

static nissl_status describe_gratings(nissl__source *source, const generator_state *state,
                                      nissl_error *err)
{
    double *orientation, *frequency, *phase, *contrast;
    nissl_status status;
    if ((status = number_column(source, "orientation", "deg", &orientation, err)) != NISSL_OK ||
        (status = number_column(source, "frequency", "cycles/image", &frequency, err)) !=
            NISSL_OK ||
        (status = number_column(source, "phase", "deg", &phase, err)) != NISSL_OK ||
        (status = number_column(source, "contrast", "", &contrast, err)) != NISSL_OK)
        return status;
    for (int64_t i = 0; i < source->n && status == NISSL_OK; i++) {
        grating g = grating_at(state, i);
        char o[32], f[32], p[32], c[32], id[160];
        orientation[i] = g.orientation;
        frequency[i] = g.frequency;
        phase[i] = g.phase;
        contrast[i] = g.contrast;
        nissl__number_text(g.orientation, o);
        nissl__number_text(g.frequency, f);
        nissl__number_text(g.phase, p);
        nissl__number_text(g.contrast, c);
        snprintf(id, sizeof id, "grating_o%s_f%s_p%s_c%s", o, f, p, c);
        status = nissl__texts_add(&source->ids, id, err);
    }
    return status;
}

/* ---- noise ---- */

static void draw_noise(const generator_state *state, int64_t index, float *out)
{
    for (int64_t i = 0; i < state->height * state->width; i++) {
        float value =
            (float)nissl__random_uniform((uint64_t)state->seed, (uint64_t)index, (uint64_t)i);
        for (int64_t c = 0; c < state->channels; c++)
            *out++ = value;
    }
}

static nissl_status parse_noise(options *o, generator_state *state, int64_t *n, nissl_error *err)
{
    nissl_status status;
    state->draw = draw_noise;
    *n = 100;
    if ((status = options_integer(o, "n", 1, (double)MAX_STIMULI, n, err)) != NISSL_OK ||
        (status = options_integer(o, "seed", 0, 9007199254740992.0, &state->seed, err)) != NISSL_OK)
        return status;
    return options_check(o, "n, seed", err);
}

static nissl_status describe_noise(nissl__source *source, const generator_state *state,
                                   nissl_error *err)
{
    nissl_status status = NISSL_OK;
    for (int64_t i = 0; i < source->n && status == NISSL_OK; i++) {
        char id[80];
        snprintf(id, sizeof id, "noise_s%lld_%05lld", (long long)state->seed, (long long)i);
        status = nissl__texts_add(&source->ids, id, err);
    }
    return status;
}

/* ---- shapes ---- */

typedef struct drawn_shape {
    shape_kind shape;
    double x, y, size;
    int colour;
} drawn_shape;

static drawn_shape shape_at(const generator_state *state, int64_t index)
{
    drawn_shape s;
    s.colour = state->colour[index % state->n_colours];
    index /= state->n_colours;
    s.size = state->size.v[index % state->size.n];
    index /= state->size.n;
    s.x = state->x.v[index % state->x.n];
    index /= state->x.n;
    s.y = state->y.v[index % state->y.n];
    s.shape = state->shape[index / state->y.n];
    return s;
}

/* Is (u, v), in units of half the shape's size from its centre, inside? */
static bool inside(shape_kind shape, double u, double v)
{
    switch (shape) {
    case CIRCLE: return u * u + v * v <= 1;
    case SQUARE: return fabs(u) <= 1 && fabs(v) <= 1;
    case TRIANGLE: return v <= 1 && v >= -1 && fabs(u) <= (v + 1) / 2;
    default: return (fabs(u) <= 1 && fabs(v) <= 1.0 / 3) || (fabs(v) <= 1 && fabs(u) <= 1.0 / 3);
    }
}

static void draw_shape(const generator_state *state, int64_t index, float *out)
{
    enum { samples = 4 }; /* per pixel and axis, so that edges are smooth */
    drawn_shape s = shape_at(state, index);
    double half = s.size * shorter_side(state) / 2;
    const float *rgb = colours[s.colour].rgb;
    float grey = 0.299f * rgb[0] + 0.587f * rgb[1] + 0.114f * rgb[2];
    for (int64_t row = 0; row < state->height; row++)
        for (int64_t column = 0; column < state->width; column++) {
            int n = 0;
            double cx = (double)column + 0.5 - s.x * (double)state->width;
            double cy = (double)row + 0.5 - s.y * (double)state->height;
            bool near = fabs(cx) < half + 1 && fabs(cy) < half + 1;
            for (int i = 0; near && i < samples * samples; i++) {
                double x = cx - 0.5 + (i % samples + 0.5) / samples;
                double y = cy - 0.5 + (i / samples + 0.5) / samples;
                n += inside(s.shape, x / half, y / half);
            }
            float cover = (float)n / (samples * samples);
            for (int64_t c = 0; c < state->channels; c++)
                *out++ = 0.5f * (1 - cover) + cover * (state->channels == 3 ? rgb[c] : grey);
        }
}

static nissl_status options_names(options *o, const char *key, const char *(*name_of)(int),
                                  int n_names, int *out, int *n, nissl_error *err)
{
    const option *found = options_find(o, key);
    if (!found)
        return NISSL_OK;
    *n = 0;
    for (int i = 0; i < found->n; i++) {
        const char *text = o->values[found->first + i];
        int which = 0;
        while (which < n_names && strcmp(name_of(which), text) != 0)
            which++;
        for (int k = 0; k < *n && which < n_names; k++)
            if (out[k] == which)
                return NISSL__FAIL(err, NISSL_ERR_ARGUMENT, "%s: %s has \"%.40s\" twice", o->path,
                                   key, text);
        if (which == n_names)
            return NISSL__FAIL(err, NISSL_ERR_ARGUMENT, "%s: %s = \"%.40s\" is unknown", o->path,
                               key, text);
        out[(*n)++] = which;
    }
    return NISSL_OK;
}

static const char *shape_name(int i)
{
    return shape_names[i];
}

static const char *colour_name(int i)
{
    return colours[i].name;
}

static nissl_status parse_shapes(options *o, generator_state *state, int64_t *n, nissl_error *err)
{
    nissl_status status;
    int64_t positions = 3;
    double largest = 0;
    int which[N_SHAPES] = {CIRCLE, SQUARE, TRIANGLE, CROSS};
    state->draw = draw_shape;
    state->n_shapes = N_SHAPES;
    state->size = (numbers){.n = 2, .v = {0.25, 0.5}};
    state->n_colours = state->channels == 3 ? 4 : 1;
    for (int i = 0, next = 0; i < state->n_colours; i++)
        state->colour[next++] = i == 0 ? 0 : i + 1; /* white, red, green, blue */
    if ((status = options_names(o, "shapes", shape_name, N_SHAPES, which, &state->n_shapes, err)) !=
            NISSL_OK ||
        (status = options_integer(o, "positions", 1, 64, &positions, err)) != NISSL_OK ||
        (status = options_numbers(o, "sizes", 1e-3, 1, false, 0, &state->size, err)) != NISSL_OK ||
        (status = options_names(o, "colours", colour_name, N_COLOURS, state->colour,
                                &state->n_colours, err)) != NISSL_OK ||
        (status = options_check(o, "shapes, positions, sizes, colours", err)) != NISSL_OK)
        return status;
    for (int i = 0; i < state->n_shapes; i++)
        state->shape[i] = (shape_kind)which[i];
    for (int i = 0; i < state->size.n; i++)
        largest = fmax(largest, state->size.v[i]);
    /* The largest shape just fits at the lattice's border. */
    double margin_x = largest / 2 * shorter_side(state) / (double)state->width;
    double margin_y = largest / 2 * shorter_side(state) / (double)state->height;
    state->x.n = state->y.n = (int)positions;
    for (int i = 0; i < positions; i++) {
        double t = positions == 1 ? 0.5 : (double)i / (double)(positions - 1);
        state->x.v[i] = margin_x + (1 - 2 * margin_x) * t;
        state->y.v[i] = margin_y + (1 - 2 * margin_y) * t;
    }
    *n = (int64_t)state->n_shapes * state->x.n * state->y.n * state->size.n * state->n_colours;
    return NISSL_OK;
}

static nissl_status describe_shapes(nissl__source *source, const generator_state *state,
                                    nissl_error *err)
{
    nissl__column *column;
    double *x, *y, *size;
    nissl_status status;
    if ((status = nissl__columns_add(&source->columns, "shape", "", false, &column, err)) !=
        NISSL_OK)
        return status;
    for (int64_t i = 0; i < source->n; i++)
        if ((status = nissl__column_set_text(column, i, shape_names[shape_at(state, i).shape],
                                             err)) != NISSL_OK)
            return status;
    if ((status = number_column(source, "x", "image", &x, err)) != NISSL_OK ||
        (status = number_column(source, "y", "image", &y, err)) != NISSL_OK ||
        (status = number_column(source, "size", "image", &size, err)) != NISSL_OK ||
        (status = nissl__columns_add(&source->columns, "colour", "", false, &column, err)) !=
            NISSL_OK)
        return status;
    for (int64_t i = 0; i < source->n && status == NISSL_OK; i++) {
        drawn_shape s = shape_at(state, i);
        char tx[32], ty[32], ts[32], id[160];
        x[i] = s.x;
        y[i] = s.y;
        size[i] = s.size;
        nissl__number_text(s.x, tx);
        nissl__number_text(s.y, ty);
        nissl__number_text(s.size, ts);
        snprintf(id, sizeof id, "%s_x%s_y%s_s%s_%s", shape_names[s.shape], tx, ty, ts,
                 colours[s.colour].name);
        if ((status = nissl__column_set_text(column, i, colours[s.colour].name, err)) == NISSL_OK)
            status = nissl__texts_add(&source->ids, id, err);
    }
    return status;
}

/* ---- opening ---- */

static const struct {
    const char *name;
    nissl_status (*parse)(options *o, generator_state *state, int64_t *n, nissl_error *err);
    nissl_status (*describe)(nissl__source *source, const generator_state *state, nissl_error *err);
} generators[] = {
    {"gratings", parse_gratings, describe_gratings},
    {"noise", parse_noise, describe_noise},
    {"shapes", parse_shapes, describe_shapes},
};

static int find_generator(const char *path)
{
    size_t n = strcspn(path, ":+");
    for (int i = 0; i < (int)(sizeof generators / sizeof generators[0]); i++)
        if (strlen(generators[i].name) == n && memcmp(generators[i].name, path, n) == 0)
            return i;
    return -1;
}

bool nissl__is_generator(const char *path)
{
    return find_generator(path) >= 0;
}

nissl_status nissl__source_generator(const nissl__source_request *request, nissl__source *out,
                                     nissl_error *err)
{
    generator_state *state = nissl__alloc(1, sizeof *state);
    options *o = nissl__alloc(1, sizeof *o);
    int which = find_generator(request->path);
    int64_t pixels;
    nissl_status status = NISSL_OK;
    out->type = &generator_type;
    out->state = state;
    if (!state || !o || !(state->text = nissl__strdup(request->path))) {
        status = NISSL__NO_MEMORY(err, sizeof *state + sizeof *o);
        goto done;
    }
    if ((status = nissl__picture_of_input(request->wanted, &state->height, &state->width,
                                          &state->channels, err)) != NISSL_OK) {
        nissl__error_prefix(err, "%s", request->path);
        goto done;
    }
    if (!nissl__mul(state->height, state->width, &pixels) ||
        !nissl__mul(pixels, state->channels * (int64_t)sizeof(float), &pixels) ||
        (uint64_t)pixels > request->budget) {
        status = NISSL__FAIL(err, NISSL_ERR_LIMIT,
                             "%s: pictures of %lld x %lld pixels exceed the budget of %llu bytes",
                             request->path, (long long)state->width, (long long)state->height,
                             (unsigned long long)request->budget);
        goto done;
    }
    if ((status = options_parse(request->path, o, err)) != NISSL_OK ||
        (status = generators[which].parse(o, state, &out->n_available, err)) != NISSL_OK)
        goto done;
    if (out->n_available > MAX_STIMULI) {
        status = NISSL__FAIL(err, NISSL_ERR_LIMIT, "%s: %lld stimuli exceed %lld", request->path,
                             (long long)out->n_available, (long long)MAX_STIMULI);
        goto done;
    }
    out->n = NISSL__MIN(out->n_available, request->limit);
    out->columns.n_rows = out->n;
    out->form = (nissl__form){.image = true,
                              .drawn = true,
                              .rank = 3,
                              .shape = {state->height, state->width, state->channels}};
    status = generators[which].describe(out, state, err);
done:
    if (o)
        nissl__free(o->text);
    nissl__free(o);
    return status;
}
