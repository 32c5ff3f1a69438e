/*
 * An analytic model of early visual cortex as an ONNX file: the simple (S1) and complex (C1) cells
 * of Riesenhuber & Poggio (1999, Nature Neuroscience 2:1019) with the filter parameters of Serre,
 * Wolf, Bileschi, Riesenhuber & Poggio (2007, IEEE TPAMI 29:411, table 1).
 *
 *   image [batch, 1, side, side], grey in 0 .. 1
 *   retina/contrast        c = image - 1/2. Convolutions pad with 0, so beyond its border the image
 *                          goes on as mean grey, the screen on which gratings are shown.
 *   S1/scale<s>/simple     correlation with Gabor filters, channel n j + i: phase j of 2,
 * orientation i of n S1/scale<s>/rectified  max(0, simple): a firing rate C1/scale<s>/pooled
 * maximum over an m x m neighbourhood, stride m / 2 C1/scale<s>/even, odd  its two phases, channel
 * i C1/band<b>/members     [batch, orientation, 4 h, w]: the maps of both phases of the two scales
 * of a band, one below the other C1/band<b>/complex     [batch, orientation, h, w]: maximum over
 * the four, by pooling with dilation h: the complex cells C1/band<b>/readout     mean over
 * positions readout                [batch, orientation of band 0, of band 1, ...]: all bands
 *
 * The filter of scale s has size k = 7 + 2 s, wavelength l and width d from the table below, and
 * aspect ratio gamma = 0.3:
 *
 *   g(x, y) = exp(-(u^2 + gamma^2 v^2) / (2 d^2)) cos(2 pi u / l + psi)
 *   u = x cos t + y sin t,  v = -x sin t + y cos t,  x^2 + y^2 <= (k / 2)^2, x right, y down,
 *   t = 90 degrees - orientation,
 *
 * psi 0 and 90 degrees, minus its mean over that disc, divided by its Euclidean norm. Carrier and
 * orientation are those of the gratings in nissl/stimuli.h; orientation is that of the bars.
 *
 * Truth. A grating of frequency side / l at the filter's orientation is the best stimulus of a
 * simple cell, and when it drifts past, a response is largest where its phase is psi.
 * Cutting the Gabor function off at its disc moves the maximum of its transfer function by at most
 * 5 % in frequency and 2 degrees in orientation (oracles/visual_cortex.py). Filters have unit norm,
 * so the larger of the two in a band has the larger gain, and the complex cell prefers its
 * frequency. A complex cell prefers no phase.
 *
 * What is left out of Serre et al.: the local normalisation of S1, and taking magnitudes (here the
 * rectification and the maximum over positions and phases make C1 indifferent to contrast sign).
 */
#include <stdio.h>

#include "foundation/foundation.h"
#include "formats/onnx.h"
#include "nissl/examine.h"

#define N_TABLE          16 /* scales of the table */
#define N_PHASES         2
#define MAX_ORIENTATIONS 180
#define MAX_SIDE         4096

/* Serre et al. 2007, table 1. */
static const double wavelength[N_TABLE] = {3.5,  4.6,  5.6,  6.8,  7.9,  9.1,  10.3, 11.5,
                                           12.7, 14.1, 15.4, 16.8, 18.2, 19.7, 21.2, 22.8};
static const double width[N_TABLE] = {2.8,  3.6,  4.5,  5.4,  6.3,  7.3,  8.2,  9.2,
                                      10.2, 11.3, 12.3, 13.4, 14.6, 15.8, 17.0, 18.2};
static const double aspect = 0.3;
static const double pi = 3.14159265358979323846;

static int filter_size(int scale)
{
    return 7 + 2 * scale;
}

/* Side of the square over which the complex cells of a band take their maximum. */
static int pool_size(int band)
{
    return 8 + 2 * band;
}

/* A filter of a scale; t, the direction across the bars, and phase in radians. w: [k, k] */
static void make_gabor(int scale, double t, double phase, float *w)
{
    const int k = filter_size(scale), h = k / 2;
    const double c = cos(t), s = sin(t), d = width[scale];
    double sum = 0.0, squares = 0.0;
    int n = 0;
    double g[(7 + 2 * (N_TABLE - 1)) * (7 + 2 * (N_TABLE - 1))];
    for (int i = 0; i < k * k; i++) {
        const double x = i % k - h, y = i / k - h;
        g[i] = 0.0;
        if (x * x + y * y > 0.25 * k * k)
            continue;
        const double u = x * c + y * s, v = -x * s + y * c;
        g[i] = exp(-(u * u + aspect * aspect * v * v) / (2.0 * d * d)) *
               cos(2.0 * pi * u / wavelength[scale] + phase);
        sum += g[i];
        n++;
    }
    for (int i = 0; i < k * k; i++) {
        const double x = i % k - h, y = i / k - h;
        if (x * x + y * y > 0.25 * k * k)
            continue;
        g[i] -= sum / n;
        squares += g[i] * g[i];
    }
    for (int i = 0; i < k * k; i++)
        w[i] = (float)(g[i] / sqrt(squares));
}

/* ---- building a graph ---- */

#define MAX_NODES        (5 * N_TABLE + 3 * (N_TABLE / 2) + 3)
#define MAX_INITIALIZERS (N_TABLE + 5)
#define MAX_INPUTS       (N_TABLE / 2) /* of a node: the readout joins all bands */
#define MAX_ATTRIBUTES   3

/* A graph under construction. Everything but the weights lies in it. */
typedef struct builder {
    size_t n_nodes, n_tensors;
    nissl__onnx_node nodes[MAX_NODES];
    nissl__onnx_attribute attributes[MAX_NODES][MAX_ATTRIBUTES];
    int64_t ints[MAX_NODES][MAX_ATTRIBUTES][4];
    const char *inputs[MAX_NODES][MAX_INPUTS];
    const char *outputs[MAX_NODES];
    char node_names[MAX_NODES][48];
    nissl__onnx_tensor tensors[MAX_INITIALIZERS];
    char tensor_names[MAX_INITIALIZERS][48];
    int64_t limits[MAX_INITIALIZERS];               /* what Slice is told */
    const char *channel_axis, *slice[N_PHASES + 1]; /* names: phase j is slice[j] .. slice[j + 1] */
    float *weights[N_TABLE];
} builder;

/* A constant whose name is made from a format and an index. Returns the name. */
static const char *add_tensor(builder *b, const char *format, int index, nissl_type type, int rank,
                              const int64_t *shape, const void *data)
{
    const size_t i = b->n_tensors++;
    nissl__onnx_tensor *t = &b->tensors[i];
    snprintf(b->tensor_names[i], sizeof b->tensor_names[i], format, index);
    *t = (nissl__onnx_tensor){.name = b->tensor_names[i], .type = type, .rank = rank, .data = data};
    t->bytes = nissl_type_size(type);
    for (int d = 0; d < rank; d++) {
        t->shape[d] = shape[d];
        t->bytes *= (size_t)shape[d];
    }
    return t->name;
}

/* A constant that a Slice is told. */
static const char *add_limit(builder *b, const char *format, int index, int64_t value)
{
    int64_t *limit = &b->limits[b->n_tensors];
    *limit = value;
    return add_tensor(b, format, index, NISSL_INT64, 1, &(int64_t){1}, limit);
}

/* A node and its output, both named by a format and an index. in2 may be NULL. Returns the name. */
static const char *add_node(builder *b, const char *op, const char *format, int index,
                            const char *in1, const char *in2)
{
    const size_t i = b->n_nodes++;
    snprintf(b->node_names[i], sizeof b->node_names[i], format, index);
    b->inputs[i][0] = in1;
    b->inputs[i][1] = in2;
    b->outputs[i] = b->node_names[i];
    b->nodes[i] = (nissl__onnx_node){.name = b->node_names[i],
                                     .op = op,
                                     .domain = "",
                                     .n_inputs = in2 == NULL ? 1 : 2,
                                     .n_outputs = 1,
                                     .inputs = b->inputs[i],
                                     .outputs = &b->outputs[i],
                                     .attributes = b->attributes[i]};
    return b->node_names[i];
}

/* Inputs beyond the second go to the node that was added last. */
static void add_input(builder *b, const char *name)
{
    b->inputs[b->n_nodes - 1][b->nodes[b->n_nodes - 1].n_inputs++] = name;
}

/* Attributes go to the node that was added last. */
static void set_int(builder *b, const char *name, int64_t value)
{
    nissl__onnx_node *node = &b->nodes[b->n_nodes - 1];
    b->attributes[b->n_nodes - 1][node->n_attributes++] =
        (nissl__onnx_attribute){.name = name, .kind = NISSL__ONNX_INT, .i = value};
}

/* n = 2: [y, x]; n = 4: both ends of y and x, [y, x, y, x]. */
static void set_ints(builder *b, const char *name, size_t n, int64_t y, int64_t x)
{
    const size_t i = b->n_nodes - 1, a = b->nodes[i].n_attributes++;
    for (size_t k = 0; k < n; k++)
        b->ints[i][a][k] = k % 2 == 0 ? y : x;
    b->attributes[i][a] = (nissl__onnx_attribute){
        .name = name, .kind = NISSL__ONNX_INTS, .n = n, .ints = b->ints[i][a]};
}

/* ---- the model ---- */

/* Side of the maps of the complex cells of a band. */
static int64_t map_side(const nissl_visual_cortex_options *o, int band)
{
    const int n = pool_size(band);
    return (o->side - n) / (n / 2) + 1;
}

/* Simple cells of a scale and their maximum over positions. out: a tensor per phase
 * [batch, orientation, y, x] */
static void add_scale(builder *b, const nissl_visual_cortex_options *o, int scale,
                      const char *contrast, const char **out)
{
    static const char *const names[N_PHASES] = {"C1/scale%d/even", "C1/scale%d/odd"};
    const int64_t k = filter_size(scale), m = pool_size(scale / 2);
    const int64_t cells = (int64_t)N_PHASES * o->n_orientations;
    float *w = b->weights[scale];
    for (int j = 0; j < N_PHASES; j++)
        for (int i = 0; i < o->n_orientations; i++)
            make_gabor(scale, 0.5 * pi - pi * i / o->n_orientations, 0.5 * pi * j,
                       w + (j * o->n_orientations + i) * k * k);
    const char *weights = add_tensor(b, "S1/scale%d/filters", scale, NISSL_FLOAT32, 4,
                                     (const int64_t[4]){cells, 1, k, k}, w);
    const char *simple = add_node(b, "Conv", "S1/scale%d/simple", scale, contrast, weights);
    set_ints(b, "kernel_shape", 2, k, k);
    set_ints(b, "pads", 4, k / 2, k / 2);
    const char *rate = add_node(b, "Relu", "S1/scale%d/rectified", scale, simple, NULL);
    const char *pooled = add_node(b, "MaxPool", "C1/scale%d/pooled", scale, rate, NULL);
    set_ints(b, "kernel_shape", 2, m, m);
    set_ints(b, "strides", 2, m / 2, m / 2);
    for (int j = 0; j < N_PHASES; j++) {
        out[j] = add_node(b, "Slice", names[j], scale, pooled, b->slice[j]);
        add_input(b, b->slice[j + 1]);
        add_input(b, b->channel_axis);
    }
}

/* Complex cells of a band of one or two scales. Returns their mean over positions. */
static const char *add_band(builder *b, const nissl_visual_cortex_options *o, int band,
                            const char *contrast)
{
    const char *maps[2 * N_PHASES];
    const int n_scales = NISSL__MIN(2, o->n_scales - 2 * band);
    for (int s = 0; s < n_scales; s++)
        add_scale(b, o, 2 * band + s, contrast, maps + s * N_PHASES);
    const char *members = add_node(b, "Concat", "C1/band%d/members", band, maps[0], maps[1]);
    for (int i = 2; i < n_scales * N_PHASES; i++)
        add_input(b, maps[i]);
    set_int(b, "axis", 2);
    const char *cells = add_node(b, "MaxPool", "C1/band%d/complex", band, members, NULL);
    set_ints(b, "kernel_shape", 2, n_scales * N_PHASES, 1);
    set_ints(b, "dilations", 2, map_side(o, band), 1);
    return add_node(b, "GlobalAveragePool", "C1/band%d/readout", band, cells, NULL);
}

static void add_model(builder *b, const nissl_visual_cortex_options *o)
{
    static const float grey = 0.5f;
    const int n_bands = (o->n_scales + 1) / 2;
    const char *contrast = add_node(b, "Sub", "retina/contrast", 0, "image",
                                    add_tensor(b, "retina/grey", 0, NISSL_FLOAT32, 0, NULL, &grey));
    b->channel_axis = add_limit(b, "C1/channel_axis", 0, 1);
    for (int j = 0; j <= N_PHASES; j++)
        b->slice[j] = add_limit(b, "C1/phase%d_begins", j, (int64_t)j * o->n_orientations);
    const char *first = add_band(b, o, 0, contrast), *all = first;
    const char *bands[N_TABLE / 2] = {first};
    for (int band = 1; band < n_bands; band++)
        bands[band] = add_band(b, o, band, contrast);
    if (n_bands > 1) {
        all = add_node(b, "Concat", "C1/readout", 0, first, bands[1]);
        for (int band = 2; band < n_bands; band++)
            add_input(b, bands[band]);
        set_int(b, "axis", 1);
    }
    add_node(b, "Flatten", "readout", 0, all, NULL);
    set_int(b, "axis", 1);
}

/* Truth: unit [N_PHASES * n_orientations] per scale, then [n_orientations] per band. */
static void list_units(const nissl_visual_cortex_options *o, nissl_visual_cortex_unit *unit)
{
    for (int s = 0; s < o->n_scales; s++)
        for (int i = 0; i < o->n_orientations * N_PHASES; i++, unit++) {
            snprintf(unit->site, sizeof unit->site, "S1/scale%d/rectified", s);
            unit->unit = i;
            unit->orientation = 180.0 * (i % o->n_orientations) / o->n_orientations;
            unit->frequency = o->side / wavelength[s];
            unit->phase = 90.0 * (i / o->n_orientations);
            unit->complex_cell = false;
        }
    for (int b = 0; 2 * b < o->n_scales; b++)
        for (int i = 0; i < o->n_orientations; i++, unit++) {
            const int largest = NISSL__MIN(2 * b + 1, o->n_scales - 1);
            snprintf(unit->site, sizeof unit->site, "C1/band%d/complex", b);
            unit->unit = i;
            unit->orientation = 180.0 * i / o->n_orientations;
            unit->frequency = o->side / wavelength[largest];
            unit->phase = NAN;
            unit->complex_cell = true;
        }
}

static nissl_status check_options(const nissl_visual_cortex_options *opt,
                                  nissl_visual_cortex_options *o, nissl_error *err)
{
    *o = opt == NULL ? (nissl_visual_cortex_options){0} : *opt;
    o->side = o->side == 0 ? 64 : o->side;
    o->n_orientations = o->n_orientations == 0 ? 8 : o->n_orientations;
    o->n_scales = o->n_scales == 0 ? 4 : o->n_scales;
    if (o->n_scales < 1 || o->n_scales > N_TABLE)
        return NISSL__FAIL(err, NISSL_ERR_RANGE, "n_scales = %d is outside 1 .. %d", o->n_scales,
                           N_TABLE);
    if (o->n_orientations < 1 || o->n_orientations > MAX_ORIENTATIONS)
        return NISSL__FAIL(err, NISSL_ERR_RANGE, "n_orientations = %d is outside 1 .. %d",
                           o->n_orientations, MAX_ORIENTATIONS);
    const int smallest = filter_size(o->n_scales - 1);
    if (o->side < smallest || o->side > MAX_SIDE)
        return NISSL__FAIL(err, NISSL_ERR_RANGE,
                           "side = %d is outside %d (the largest filter of %d scales) .. %d",
                           o->side, smallest, o->n_scales, MAX_SIDE);
    return NISSL_OK;
}

nissl_status nissl_visual_cortex_write(const nissl_visual_cortex_options *opt, const char *path,
                                       nissl_visual_cortex_unit **units, size_t *n_units,
                                       nissl_error *err)
{
    nissl_visual_cortex_options o;
    nissl_visual_cortex_unit *truth = NULL;
    builder *b = NULL;
    nissl_status status = check_options(opt, &o, err);
    if (status != NISSL_OK)
        goto done;
    const size_t n_truth =
        (size_t)o.n_orientations * (size_t)(o.n_scales * N_PHASES + (o.n_scales + 1) / 2);
    truth = calloc(n_truth, sizeof *truth); /* the caller frees it with free() */
    b = nissl__alloc(1, sizeof *b);
    if (truth == NULL || b == NULL) {
        status = NISSL__NO_MEMORY(err, n_truth * sizeof *truth + sizeof *b);
        goto done;
    }
    for (int s = 0; s < o.n_scales; s++) {
        const size_t size = (size_t)(filter_size(s) * filter_size(s));
        const size_t count = (size_t)(N_PHASES * o.n_orientations) * size;
        b->weights[s] = nissl__alloc(count, sizeof(float));
        if (b->weights[s] == NULL) {
            status = NISSL__NO_MEMORY(err, count * sizeof(float));
            goto done;
        }
    }
    add_model(b, &o);
    list_units(&o, truth);

    const int n_bands = (o.n_scales + 1) / 2;
    const nissl__onnx_value input = {.name = "image",
                                     .has_type = true,
                                     .has_shape = true,
                                     .type = NISSL_FLOAT32,
                                     .rank = 4,
                                     .shape = {-1, 1, o.side, o.side},
                                     .dim_names = {"batch"}};
    const nissl__onnx_value output = {.name = "readout",
                                      .has_type = true,
                                      .has_shape = true,
                                      .type = NISSL_FLOAT32,
                                      .rank = 2,
                                      .shape = {-1, (int64_t)n_bands * o.n_orientations},
                                      .dim_names = {"batch"}};
    const nissl__onnx_opset opset = {.domain = "", .version = 13};
    const nissl__onnx_model model = {.ir_version = 7,
                                     .opset = 13,
                                     .producer_name = "nissl",
                                     .producer_version = nissl_version(),
                                     .n_opsets = 1,
                                     .opsets = &opset,
                                     .graph = {.name = "early visual cortex",
                                               .n_nodes = b->n_nodes,
                                               .n_initializers = b->n_tensors,
                                               .n_inputs = 1,
                                               .n_outputs = 1,
                                               .nodes = b->nodes,
                                               .initializers = b->tensors,
                                               .inputs = &input,
                                               .outputs = &output}};
    status = nissl__onnx_write(&model, path, err);
    if (status != NISSL_OK)
        goto done;
    if (units != NULL) {
        *units = truth;
        truth = NULL;
    }
    if (n_units != NULL)
        *n_units = n_truth;
done:
    free(truth);
    for (int s = 0; b != NULL && s < N_TABLE; s++)
        nissl__free(b->weights[s]);
    nissl__free(b);
    return status;
}
