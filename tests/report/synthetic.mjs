/*
 * Writes a report folder of invented numbers, to lay the pages out and test them at a size that is slow to compute:
 * node synthetic.mjs WEB BUNDLES OUT labels|gratings.
 * Nothing in it was measured; every page says so in its title.
 */
import fs from 'node:fs';
import path from 'node:path';
import zlib from 'node:zlib';

const [web, bundleFolder, out, kind] = process.argv.slice(2);
let state = 12345;
const random = () => ((state = (Math.imul(state, 1664525) + 1013904223) >>> 0), state / 2 ** 32);
const normal = () => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
const round = (x) => (Number.isFinite(x) ? Number(x.toPrecision(4)) : null);
const mkdir = (d) => fs.mkdirSync(path.join(out, d), { recursive: true });
const write = (file, text) => fs.writeFileSync(path.join(out, file), text);
['assets', 'data', 'site', 'stimuli', 'charts'].forEach(mkdir);

function crc32(bytes) {
    let crc = -1;
    for (const b of bytes) {
        crc ^= b;
        for (let k = 0; k < 8; k++)
            crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
    }
    return (crc ^ -1) >>> 0;
}

function png(w, h, pixel) {
    const raw = Buffer.alloc(h * (1 + 3 * w));
    for (let y = 0; y < h; y++)
        for (let x = 0; x < w; x++)
            pixel(x, y).forEach((v, c) => (raw[y * (1 + 3 * w) + 1 + 3 * x + c] = v));
    const chunk = (type, body) => {
        const data = Buffer.concat([Buffer.from(type), body]), size = Buffer.alloc(4), crc = Buffer.alloc(4);
        size.writeUInt32BE(body.length);
        crc.writeUInt32BE(crc32(data));
        return Buffer.concat([size, data, crc]);
    };
    const head = Buffer.alloc(13);
    head.writeUInt32BE(w, 0);
    head.writeUInt32BE(h, 4);
    head.set([8, 2, 0, 0, 0], 8);
    return Buffer.concat([Buffer.from([137, 80, 78, 71, 13, 10, 26, 10]), chunk('IHDR', head), chunk('IDAT', zlib.deflateSync(raw)), chunk('IEND', Buffer.alloc(0))]);
}

const labels = kind === 'labels';
const factors = labels
    ? [{ name: 'label', unit: '', kind: 'categorical', levels: Array.from({ length: 500 }, (_, i) => `invented class ${i}`) }]
    : [{ name: 'orientation', unit: 'deg', kind: 'continuous', levels: Array.from({ length: 12 }, (_, i) => String(i * 15)) },
       { name: 'frequency', unit: 'cycles/image', kind: 'continuous', levels: ['2', '4', '8', '16'] },
       { name: 'shape', unit: '', kind: 'categorical', levels: ['circle', 'cross', 'square', 'triangle'] }];
const nStimuli = labels ? 500 : 576;
const level = (i, f) => (labels ? i : f === 0 ? i % 12 : f === 1 ? (i / 12 | 0) % 4 : (i / 48 | 0) % 4);
factors.forEach((f, k) => { f.counts = f.levels.map(() => 0); for (let i = 0; i < nStimuli; i++) f.counts[level(i, k)]++; });
const tuned = factors.map((_, i) => i);

const indices = [
    { key: 'selectivity', name: 'Selectivity', short: 'Selectivity', axis: 'selectivity', per_factor: true, range: [0, 1], text: 'How far the best condition stands above the mean of the others: 0 none, 1 answers one condition only.', formula: '(μ_best − μ_rest) / (μ_best + μ_rest + 1e-7), rectified condition means', source: 'Morcos et al. 2018' },
    { key: 'auroc', name: 'auROC, best against rest', short: 'auROC', axis: 'auROC', per_factor: true, range: [0.5, 1], text: 'Chance that the best condition gives a larger value than another; best chosen on one half, measured on the other.', formula: 'U / (n₁ n₂), ties ½', source: 'Mann & Whitney 1947' },
    { key: 'dprime', name: 'd′, best against rest', short: 'd′', axis: 'd′', per_factor: true, text: 'Distance of the means in standard deviations, held out.', formula: '(μ₁ − μ₂) / √((s₁² + s₂²) / 2)', source: 'Green & Swets 1966' },
    { key: 'lifetime', name: 'Lifetime sparseness', short: 'Sparseness', axis: 'lifetime sparseness', range: [0, 1], text: '0: the same answer to every stimulus; 1: an answer to one.', formula: '(1 − a) / (1 − 1/n)', source: 'Vinje & Gallant 2000' },
    { key: 'active', name: 'Activation frequency', short: 'Active', axis: 'share of samples > 0', range: [0, 1], percent: true, text: 'Share of samples on which the unit is above zero.' },
    { key: 'mean', name: 'Mean', short: 'Mean', axis: 'mean value', text: 'Mean over stimuli.', depth: false },
    { key: 'sd', name: 'Standard deviation', short: 'SD', axis: 'standard deviation', text: 'Over stimuli.', depth: false },
].map((i) => ({ depth: true, table: true, sheet: true, distribution: i.key !== 'sd', sort: i.key === 'selectivity', ...i }));

const sites = [];
const add = (name, op, units, side) => sites.push({ n: sites.length + 1, name, op, node: `${op}_${sites.length}`, shape: side ? [1, units, side, side] : [1, units], units, positions: side ? side * side : 1, parameters: op === 'Conv' ? units * 500 : 0, operations: 1e7, output: false });
if (labels) {
    add('conv1', 'Conv', 64, 113);
    add('relu1', 'Relu', 64, 113);
    add('pool1', 'MaxPool', 64, 56);
    for (let f = 2; f < 10; f++) {
        const k = 16 * (1 + ((f - 2) >> 1)), side = f < 4 ? 56 : f < 6 ? 28 : 14;
        for (const [part, op, n] of [['squeeze1x1', 'Conv', k], ['relu_squeeze1x1', 'Relu', k], ['expand1x1', 'Conv', 4 * k], ['relu_expand1x1', 'Relu', 4 * k], ['expand3x3', 'Conv', 4 * k], ['relu_expand3x3', 'Relu', 4 * k], ['concat', 'Concat', 8 * k]])
            add(`fire${f}/${part}`, op, n, side);
    }
    add('conv10', 'Conv', 1000, 14);
    add('pool10', 'GlobalAveragePool', 2048, 1);
    add('<script>alert(1)</script>', 'Softmax', 1000, 0);
} else
    ['s1_band1', 's1_band2', 's1_band3', 's1_band4', 'c1_band1', 'c1_band2', 'c1_band3', 'c1_band4'].forEach((n, i) => add(n, i < 4 ? 'Conv' : 'MaxPool', 32, 32));
sites.at(-1).output = true;
sites.forEach((s) => (s.file = `site/${String(s.n).padStart(3, '0')}-${s.name.replace(/[^A-Za-z0-9_.-]/g, '_')}.html`));

const quantile = (list, p) => { const s = list.filter(Number.isFinite).sort((a, b) => a - b); return s.length ? round(s[Math.min(s.length - 1, Math.floor(p * s.length))]) : null; };
const five = (list) => (list.some(Number.isFinite) ? [0.05, 0.25, 0.5, 0.75, 0.95].map((p) => quantile(list, p)) : null);
function spread(a, b) {
    const all = [...a, ...b].filter(Number.isFinite);
    if (!a.some(Number.isFinite))
        return null;
    const low = Math.min(...all), high = Math.max(...all), bins = 24;
    const share = (list) => { const n = Array(bins).fill(0), ok = list.filter(Number.isFinite); ok.forEach((v) => n[Math.min(bins - 1, Math.floor((v - low) / (high - low || 1) * bins))]++); return n.map((c) => round(c / ok.length)); };
    return { edges: Array.from({ length: bins + 1 }, (_, i) => round(low + (high - low) * i / bins)), network: share(a), twin: share(b), q: five(a), twin_q: five(b) };
}
const curveValue = (pref, width, f, i, n) => { const d = labels ? (i * 7919 % n) / n : Math.min(Math.abs(i - pref), f === 0 ? n - Math.abs(i - pref) : 99) / n; return labels ? Math.exp(-d * 9) * (i === pref ? 1.4 : 1) : Math.exp(-d * d * width); };

for (const s of sites) {
    const depth = s.n / sites.length;
    const make = (twin) => {
        const u = Array.from({ length: s.units }, () => Math.max(0, Math.min(1, (twin ? 0.2 : 0.25 + 0.4 * depth) + 0.12 * normal())));
        return { columns: { mean: u.map((v) => round(v * 2 + 0.2)), sd: u.map((v, i) => (i % 40 === 7 ? 0 : round(0.3 + v))), active: u.map((v) => round(Math.max(0.01, 0.9 - v))), lifetime: u.map((v) => round(Math.min(1, v + 0.1))) },
            tuned: factors.map((f) => ({ preferred: u.map((_, i) => (i % 40 === 7 ? -1 : Math.floor(random() * f.levels.length))), selectivity: u.map((v) => round(Math.min(1, Math.abs(v + 0.05 * normal())))), auroc: u.map((v) => (labels ? null : round(Math.min(1, 0.5 + v / 2)))), dprime: u.map((v) => (labels ? null : round(v * 3))) })) };
    };
    const network = make(false), twin = make(true);
    const of = (x) => (x.per_factor ? null : spread(network.columns[x.key].map(Number), twin.columns[x.key].map(Number)));
    const numbers = (l) => l.map((v) => (v === null ? NaN : v));
    const distributions = { plain: Object.fromEntries(indices.filter((x) => !x.per_factor).map((x) => [x.key, of(x)])),
        tuned: factors.map((_, f) => Object.fromEntries(indices.filter((x) => x.per_factor).map((x) => [x.key, spread(numbers(network.tuned[f][x.key]), numbers(twin.tuned[f][x.key]))]))) };
    const sum = (d) => d && [d.q[1], d.q[2], d.q[3], s.units, d.twin_q[1], d.twin_q[2], d.twin_q[3], s.units];
    s.silent = network.columns.sd.filter((v) => v === 0).length;
    s.twin_silent = s.silent;
    s.plain = Object.fromEntries(Object.entries(distributions.plain).map(([k, d]) => [k, sum(d)]));
    s.tuned = distributions.tuned.map((t) => Object.fromEntries(Object.entries(t).map(([k, d]) => [k, sum(d)])));
    const counts = (t, f) => { const n = Array(factors[f].levels.length).fill(0); t.tuned[f].preferred.forEach((p) => p >= 0 && n[p]++); return n; };
    const chunk = 128, tag = String(s.n).padStart(3, '0');
    write(`data/site_${tag}.js`, `NISSL.site(${JSON.stringify({ n: s.n, chunk, ...network, distributions, preferred: factors.map((_, f) => ({ network: counts(network, f), twin: counts(twin, f) })) })});\n`);
    for (let first = 0; first < s.units; first += chunk) {
        const n = Math.min(chunk, s.units - first), each = (fn) => Array.from({ length: n }, (_, k) => fn(first + k));
        write(`data/site_${tag}_${first}.js`, `NISSL.units(${JSON.stringify({ site: s.n, first,
            curves: factors.map((f, k) => { const m = f.levels.length; if (m <= 40) return { mean: each((i) => f.levels.map((_, l) => round(0.2 + 2 * curveValue(network.tuned[k].preferred[i], 30, k, l, m)))), se: each(() => f.levels.map(() => round(0.05 + 0.05 * random()))) };
                const ranked = Array.from({ length: 41 }, (_, r) => round(2 * Math.exp(-r / 8)));
                return { levels: each(() => Array.from({ length: 20 }, () => Math.floor(random() * m))), mean: each(() => Array.from({ length: 20 }, (_, r) => round(2 * Math.exp(-r / 12)))), se: each(() => Array(20).fill(null)), ranked: each(() => ranked) }; }),
            histogram: { text: 'over all positions of all stimuli', counted: 'samples', low: each(() => 0), high: each(() => 3), counts: each(() => Array.from({ length: 32 }, (_, b) => Math.round(1000 * Math.exp(-b / 6) * (0.8 + 0.4 * random())))) },
            strongest: { stimulus: each(() => Array.from({ length: 9 }, () => Math.floor(random() * nStimuli))), value: each(() => Array.from({ length: 9 }, (_, r) => round(3 - r * 0.1))) },
            weakest: { stimulus: each(() => Array.from({ length: 9 }, () => Math.floor(random() * nStimuli))), value: each(() => Array.from({ length: 9 }, (_, r) => round(0.01 * r))) } })});\n`);
    }
}

const side = 96, items = {};
for (let i = 0; i < nStimuli; i++) {
    const a = labels ? random() * Math.PI : level(i, 0) * Math.PI / 12, f = labels ? 2 + random() * 10 : 2 ** (1 + level(i, 1)), tint = labels ? [random(), random(), random()] : [1, 1, 1];
    write(`stimuli/${i}.png`, png(side, side, (x, y) => { const v = 127 + 120 * Math.sin(2 * Math.PI * f * (x * Math.cos(a) + y * Math.sin(a)) / side); return tint.map((t) => Math.round(v * (0.4 + 0.6 * t))); }));
    items[i] = [labels ? `n0${1440764 + i}_invented_class_${i}.JPEG` : `grating_${String(i).padStart(4, '0')}`, factors.map((_, k) => level(i, k)), side, side, 'png'];
}
write('data/stimuli.js', `NISSL.stimuli(${JSON.stringify({ factors: factors.map(({ name, unit, levels }) => ({ name, unit, levels })), items })});\n`);

const nUnits = sites.reduce((a, s) => a + s.units, 0);
write('data/report.js', `NISSL.report(${JSON.stringify({
    format: 1, title: labels ? 'INVENTED NUMBERS squeezenet1.1' : 'INVENTED NUMBERS visual cortex', n_units: nUnits, twin: true, tuned, summary: 'mean',
    generator: { version: '0.1.0', time: '2026-11-25 09:00 UTC' },
    network: { path: 'squeezenet1.1/SqueezeNet1.1_fp32.onnx', format: 'ONNX, opset 7, pytorch 1.13.0', parameters: 1235496, operations: 7.0e8, nodes: 66, hash: '8f14e45fceea167a', inputs: [{ name: 'data_0', type: 'float32', shape: [-1, 3, 227, 227] }], outputs: [{ name: 'softmaxout_1', type: 'float32', shape: [-1, 1000] }], operators: { Conv: 26, Relu: 26, Concat: 8, MaxPool: 3, GlobalAveragePool: 1, Softmax: 1, Dropout: 1 } },
    stimuli: { source: labels ? 'images/imagenet_500' : 'gratings+shapes', count: nStimuli, shape: [3, 227, 227], preprocess: { resize: 256, crop: 227, channel_order: 'BGR', mean: [104, 117, 123] }, factors, hash: '1234567890abcdef', contact: Array.from({ length: 40 }, (_, i) => Math.floor(i * nStimuli / 40)) },
    findings: [
        { text: 'A unit of fire9/concat is more selective than a unit of the twin: 0.62 against 0.31.', site: 'fire9/concat', factor: 'label', measure: 'median selectivity', effect: 0.62, low: 0.6, high: 0.64, control: 0.31, sample: '512 units, 500 stimuli', threat: 'One image per class: selectivity to a class cannot be told from selectivity to an image.' },
        { text: 'Selectivity grows with depth; in the twin it does not.', site: '', measure: 'Spearman correlation with depth', effect: 0.88, low: 0.8, high: 0.93, control: 0.12, sample: '62 sites', threat: 'Sites of one network are not independent: an activation follows its convolution.' },
        { text: '3.1 % of units gave the same value to every stimulus; 2.9 % of the twin.', site: '', measure: 'share of constant units', effect: 0.031, low: 0.028, high: 0.034, control: 0.029, sample: `${nUnits} units`, threat: 'Silent on these stimuli is not silent on all.' }],
    parity: null, cost: { seconds_recording: 31.2, seconds_tuning: 4.4, stimuli_per_second: 16.03, planned_bytes: 4.1e8, resident_bytes: 4.3e8, disk_bytes: 5.1e7, threads: 2 }, indices, sites,
    not_tested: ['Causes: no unit was lesioned or driven. A unit’s tuning says what goes with its activity, not what the network uses it for.', 'Other stimuli: what a unit prefers among these may not be what it prefers among all.', 'Adversarial inputs.'],
    parameters: [{ name: 'seed', value: 0, default: 0, set: 'default', description: 'root of every random choice' }, { name: 'top_k', value: 9, default: 9, set: 'default', description: 'exemplars at each end' }, { name: 'sites', value: '*', default: '*', set: 'command line', description: 'globs over site names' }],
    provenance: { program: 'nissl 0.1.0', compiler: 'gcc 12.2.0', libraries: { onednn: '2.6.3', openblas: '0.3.21', hdf5: '1.10.8' }, command: 'nissl examine MODEL STIMULI -o REPORT', host: 'x86-64, AVX-512' },
    files: [['sites.csv', 12000, 'a row per site'], ['units.csv', 2.1e6, 'a row per unit and factor'], ['recording.nwb', 5.1e7, 'the recording, NWB 2']],
})});\n`);
const charts = {};
for (const f of fs.readdirSync(path.join(web, 'charts')).filter((f) => f.endsWith('.vl.json')))
    charts[f.replace('.vl.json', '')] = JSON.parse(fs.readFileSync(path.join(web, 'charts', f)));
write('data/charts.js', `NISSL.charts(${JSON.stringify(charts)});\n`);
const bundles = ['vega', 'vega-lite', 'vega-embed'];
for (const b of bundles)
    fs.copyFileSync(path.join(bundleFolder, `${b}.min.js`), path.join(out, `assets/${b}.min.js`));
for (const f of ['report.js', 'report.css', 'index.js', 'site.js'])
    fs.copyFileSync(path.join(web, f), path.join(out, 'assets', f));
const escape = (t) => t.replace(/[&<>"]/g, (c) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[c]);
const page = (file, root, to, title, n) => write(to, fs.readFileSync(path.join(web, file), 'utf8').replaceAll('@TITLE@', escape(title)).replaceAll('@NUMBER@', n).replace('@BUNDLES@', bundles.map((b) => `<script defer src="${root}assets/${b}.min.js"></script>`).join('\n')));
page('index.html', '', 'index.html', 'invented', '');
sites.forEach((s) => page('site.html', '../', s.file, s.name, String(s.n).padStart(3, '0')));
