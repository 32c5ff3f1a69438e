/*
 * What every page of a report shares: the data it was given, building elements from text (never
 * from markup, so that no name in a file can become code), numbers for people, index explanations,
 * charts. The numbers themselves come from the library; pages only draw them.
 * The data contract is docs/report-data.md.
 */
'use strict';

const NISSL = (() => {
    const data = { report: null, charts: {}, stimuli: null, site: null, units: new Map() };
    const root = document.documentElement.dataset.root || '';
    const dark = window.matchMedia('(prefers-color-scheme: dark)');

    /* ---- elements ---- */

    const SVG = new Set(['svg', 'g', 'rect', 'line', 'path', 'circle', 'text', 'title', 'polygon']);

    /* el('a', {href, onclick, class}, child, ...): strings become text nodes. */
    function el(tag, attributes, ...children) {
        const svg = SVG.has(tag) && tag !== 'title';
        const node = svg ? document.createElementNS('http://www.w3.org/2000/svg', tag)
                         : document.createElement(tag);
        for (const [key, value] of Object.entries(attributes || {})) {
            if (value === null || value === undefined || value === false)
                continue;
            if (key.startsWith('on'))
                node.addEventListener(key.slice(2), value);
            else if (key === 'style')
                for (const [property, text] of Object.entries(value))
                    node.style.setProperty(property, text);
            else
                node.setAttribute(key, value === true ? '' : String(value));
        }
        node.append(...children.flat(3).filter((c) => c !== null && c !== undefined && c !== false));
        return node;
    }

    const byId = (id) => document.getElementById(id);
    function fill(id, ...children) {
        const node = typeof id === 'string' ? byId(id) : id;
        if (node)
            node.replaceChildren(...children.flat(3).filter((c) => c !== null && c !== undefined && c !== false));
        return node;
    }

    /* ---- numbers for people ---- */

    const known = (x) => typeof x === 'number' && Number.isFinite(x);
    const count = (x) => (known(x) ? Math.round(x).toLocaleString('en-GB') : '–');

    function number(x, digits = 3) {
        if (!known(x))
            return '–';
        const size = Math.abs(x);
        if (size === 0)
            return '0';
        if (size >= 1e6 || size < 1e-4) {
            const [m, e] = x.toExponential(digits - 1).split('e');
            const raised = [...String(Number(e))].map((c) => '⁰¹²³⁴⁵⁶⁷⁸⁹'[c] || '⁻').join('');
            return `${m}×10${raised}`.replace('-', '−');
        }
        const places = Math.max(0, digits - 1 - Math.floor(Math.log10(size)));
        return x.toLocaleString('en-GB', { minimumFractionDigits: Math.min(places, 6), maximumFractionDigits: Math.min(places, 6) }).replace('-', '−');
    }

    function scaled(x, steps, suffix, base) {
        if (!known(x))
            return '–';
        let i = 0;
        while (Math.abs(x) >= base && i < steps.length - 1) {
            x /= base;
            i++;
        }
        return `${x >= 100 || i === 0 ? Math.round(x).toLocaleString('en-GB') : x.toPrecision(3)} ${steps[i]}${suffix}`.trimEnd();
    }
    const bytes = (x) => scaled(x, ['', 'Ki', 'Mi', 'Gi', 'Ti'], 'B', 1024);
    const amount = (x) => scaled(x, ['', 'k', 'M', 'G', 'T', 'P'], '', 1000);
    const seconds = (x) => (!known(x) ? '–' : x < 120 ? `${number(x)} s` : `${Math.floor(x / 60)} min ${Math.round(x % 60)} s`);
    const percent = (x) => (known(x) ? `${number(100 * x)} %` : '–');
    const shape = (s) => s.map((n) => (n < 0 ? 'n' : n)).join(' × ');
    const level = (factor, i) => (i < 0 || i === null || i === undefined ? '–' : `${factor.levels[i]}${unitName(factor.unit)}`);
    const short = (text, most = 32) => (text.length > most ? `${text.slice(0, most - 1)}…` : text);
    const unitName = (unit) => ({ '': '', 1: '', deg: '°', '%': ' %' }[unit] ?? ` ${unit}`);
    const ordered = (factor) => factor.levels.every((l) => l.trim() !== '' && Number.isFinite(Number(l)));

    /* The tuned factor to begin with: where a generator was joined to another, not which of them it was. */
    const firstFactor = (factors) => Math.max(0, factors.findIndex((f) => f.name !== 'source'));

    /* ---- what an index is: one line, formula, source ---- */

    function about(text) {
        const pop = el('div', { class: 'pop', popover: '' },
            el('strong', null, text.name), el('p', null, text.text),
            text.formula ? el('p', { class: 'formula' }, text.formula) : null,
            text.source ? el('p', { class: 'source' }, text.source) : null);
        const button = el('button', { class: 'info', type: 'button', title: text.text,
            'aria-label': `What is ${text.name}?`,
            onclick: (event) => {
                event.stopPropagation();
                pop.togglePopover();
                const at = button.getBoundingClientRect();
                pop.style.left = `${Math.max(8, Math.min(at.left, innerWidth - pop.offsetWidth - 8))}px`;
                pop.style.top = `${at.bottom + 8 + pop.offsetHeight > innerHeight ? Math.max(8, at.top - pop.offsetHeight - 8) : at.bottom + 8}px`;
            } }, 'i');
        return el('span', { class: 'about' }, button, pop);
    }
    const index = (key) => data.report.indices.find((i) => i.key === key);

    const who = (kind, text) => el('span', { class: `who ${kind}` }, el('span', { class: 'swatch', 'aria-hidden': 'true' }), text || kind);
    const facts = (rows) => el('dl', { class: 'facts' }, rows.filter((r) => r && r[1] !== null && r[1] !== undefined && r[1] !== '')
        .map(([name, ...value]) => el('div', null, el('dt', null, name), el('dd', null, ...value))));

    /* ---- stimuli ---- */

    /* A picture of stimulus i with what it is; value is the unit's response to it. */
    function stimulus(i, value, unit) {
        const [id, levels, width, height, type] = data.stimuli.items[i] || [`stimulus ${i}`, [], 0, 0, 'png'];
        const those = data.stimuli.factors.map((f, k) => [f, levels[k]]).filter(([f, l]) => l >= 0 && f.levels);
        const label = those.filter(([f]) => f.name !== 'source' && f.levels.length > 1).map(([f, l]) => short(level(f, l))).join(' · ');
        const long = those.map(([f, l]) => (f.name === 'label' ? level(f, l) : `${f.name} ${level(f, l)}`)).join('\n');
        return el('figure', { class: 'stimulus', title: long ? `${id}\n${long}` : id },
            el('img', { src: `${root}stimuli/${i}.${type}`, width, height, loading: 'lazy',
                alt: `Stimulus ${id}${label ? ` (${label})` : ''}${known(value) ? `, response ${number(value)}` : ''}` }),
            el('figcaption', null, known(value) ? el('b', null, number(value), unit ? ` ${unit}` : '') : null,
                label ? el('span', { class: 'label' }, label) : null, el('span', { class: 'id' }, id)));
    }

    /* ---- charts ---- */

    const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
    function theme() {
        const ink = css('--ink'), muted = css('--muted'), rule = css('--rule'), font = css('--sans');
        return {
            background: null, font, view: { stroke: null },
            axis: { labelColor: muted, titleColor: muted, gridColor: rule, domainColor: rule, tickColor: rule, labelFont: font, titleFont: font, titleFontWeight: 'normal', labelFontSize: 11, titleFontSize: 11, labelLimit: 150, gridOpacity: 0.7 },
            legend: { labelColor: ink, titleColor: muted, labelFont: font, titleFont: font, labelFontSize: 11 },
            title: { color: ink, font, fontSize: 13, anchor: 'start' }, text: { color: ink, font }, mark: { tooltip: true }, rule: { color: muted },
        };
    }

    /* Colours of a template are names (network, twin, ink, muted); they follow the page's theme. */
    function coloured(value) {
        if (Array.isArray(value))
            return value.map(coloured);
        if (value && typeof value === 'object')
            return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, coloured(v)]));
        return PAINT[value] && typeof value === 'string' ? css(PAINT[value]) || value : value;
    }
    const PAINT = { '#5b3fa3': '--network', '#c27000': '--twin', '#1f1b2e': '--ink', '#6a6478': '--muted' };

    /* The specification as a file has it: the template with its data put in, and texts for its "$names"; what has none goes. */
    function specification(template, values, texts) {
        const spec = structuredClone(data.charts[template]);
        (function put(node) {
            for (const key of Object.keys(node)) {
                const text = typeof node[key] === 'string' && /^\$[a-z]+$/.test(node[key]) ? texts[node[key].slice(1)] ?? null : undefined;
                if (text === null)
                    delete node[key];
                else if (text !== undefined)
                    node[key] = text;
                else if (node[key] && typeof node[key] === 'object')
                    put(node[key]);
            }
        })(spec);
        spec.data = { values };
        return spec;
    }

    function save(name, text, type) {
        const link = el('a', { href: URL.createObjectURL(new Blob([text], { type })), download: name });
        link.click();
        setTimeout(() => URL.revokeObjectURL(link.href), 1000);
    }

    const bundles = () => typeof vegaEmbed === 'function';
    const waiting = new Map();
    const watcher = new IntersectionObserver((entries) => {
        for (const entry of entries)
            if (entry.isIntersecting)
                waiting.get(entry.target)?.();
    }, { rootMargin: '300px' });

    /*
     * A chart in a figure: drawn when it comes into view, redrawn when the colour scheme changes.
     * alt is read instead of the picture. click receives the datum.
     */
    const drawn = new Map(); /* specification by name, for those who look from outside */
    function chart(spec, { name, alt, height, click } = {}) {
        drawn.set(name, spec);
        const plot = el('div', { class: 'plot', role: 'img', 'aria-label': alt || name, style: height ? { 'min-height': `${height}px` } : {} });
        const figure = el('figure', { class: 'chart' }, plot);
        if (!bundles()) {
            plot.classList.add('absent');
            plot.append('No charts in this report: it was written without the Vega bundles. The specification still holds the data.');
            figure.append(menu([['Specification', () => save(`${name}.vl.json`, JSON.stringify(spec, null, 1), 'application/json')]]));
            return figure;
        }
        let view = null;
        async function draw() {
            watcher.unobserve(plot);
            waiting.delete(plot);
            view?.finalize();
            const sized = { ...coloured(spec), width: 'container', ...(height ? { height } : {}), autosize: { type: 'fit', contains: 'padding' } };
            const result = await vegaEmbed(plot, sized, { actions: false, renderer: 'svg', ast: true, config: theme(), defaultStyle: false, tooltip: { theme: 'nissl', disableDefaultStyle: true }, loader: { load: () => Promise.reject(new Error('charts load nothing')) } });
            view = result.view;
            plot.dataset.drawn = 'yes';
            if (click)
                view.addEventListener('click', (_, item) => item?.datum && click(item.datum));
        }
        waiting.set(plot, draw);
        watcher.observe(plot);
        dark.addEventListener('change', () => view && plot.isConnected && draw());
        const picture = async (type) => {
            const url = await view.toImageURL(type, 2);
            el('a', { href: url, download: `${name}.${type}` }).click();
        };
        figure.append(menu([
            ['SVG', () => picture('svg')], ['PNG', () => picture('png')],
            ['Specification', () => save(`${name}.vl.json`, JSON.stringify(spec, null, 1), 'application/json')],
        ]));
        return figure;
    }
    /* Draws what waits inside an element; one that scrolls by itself never tells that it is in view. */
    const drawInside = (element) => waiting.forEach((draw, plot) => element.contains(plot) && draw());
    const menu = (items) => el('div', { class: 'save', role: 'group', 'aria-label': 'Save this chart as' },
        items.map(([text, act]) => el('button', { type: 'button', onclick: act }, text)));
    window.addEventListener('beforeprint', () => {
        document.querySelectorAll('details').forEach((d) => { d.open = true; });
        waiting.forEach((draw) => draw());
    });

    /* ---- a table that sorts and pages ---- */

    /*
     * columns: [{key, name, title, about, text, value(row), cell(row)}]; value is what sorts (numbers first,
     * missing last). Returns {element, show, order, sort}. A row's key is row.key.
     */
    function table({ columns, rows, page = 50, sort, caption, onrow, rowHref, filter }) {
        const state = { key: sort?.key ?? columns[0].key, down: sort?.down ?? false, first: 0, order: rows, filter: () => true };
        const body = el('tbody'), head = el('tr'), status = el('span', { class: 'status', 'aria-live': 'polite' });
        const element = el('div', { class: 'table' });
        const previous = el('button', { type: 'button', onclick: () => turn(-page) }, '‹ Previous');
        const next = el('button', { type: 'button', onclick: () => turn(page) }, 'Next ›');

        function reorder() {
            const column = columns.find((c) => c.key === state.key) || columns[0];
            const missing = (v) => v === null || v === undefined || v === '' || Number.isNaN(v);
            state.order = rows.filter(state.filter).map((row, i) => [column.value(row), i, row]).sort(([a, i], [b, j]) => {
                if (missing(a) || missing(b))
                    return missing(a) - missing(b) || i - j;
                const d = typeof a === 'number' ? a - b : String(a).localeCompare(String(b), 'en', { numeric: true });
                return (state.down ? -d : d) || i - j;
            }).map(([, , row]) => row);
        }
        function draw() {
            fill(head, columns.map((c) => el('th', { scope: 'col', class: c.text ? 'text' : 'number', 'aria-sort': c.key === state.key ? (state.down ? 'descending' : 'ascending') : 'none' },
                el('button', { type: 'button', title: c.title, 'data-key': c.key, onclick: () => sortBy(c.key, c.key === state.key ? !state.down : !c.text) },
                    c.name, el('span', { class: 'arrow', 'aria-hidden': 'true' }, c.key === state.key ? (state.down ? '▼' : '▲') : '')))));
            fill(body, state.order.slice(state.first, state.first + page).map((row) => el('tr', {
                'data-key': row.key, class: row.key === state.chosen ? 'chosen' : null, 'aria-selected': onrow ? String(row.key === state.chosen) : null,
                onclick: onrow ? (event) => { if (!event.target.closest('a, button')) onrow(row); } : null,
            }, columns.map((c) => el(c.header ? 'th' : 'td', { class: c.text ? 'text' : 'number', scope: c.header ? 'row' : null }, c.cell ? c.cell(row) : c.text ? c.value(row) ?? '–' : number(c.value(row)))))));
            const n = state.order.length, all = rows.length;
            fill(status, n === 0 ? 'Nothing matches' : `${count(state.first + 1)}–${count(Math.min(n, state.first + page))} of ${count(n)}${n < all ? ` (${count(all)} in all)` : ''}`);
            previous.disabled = state.first === 0;
            next.disabled = state.first + page >= n;
            pager.hidden = all <= page && n === all;
        }
        function turn(by) {
            state.first = Math.max(0, Math.min(state.first + by, Math.floor(Math.max(0, state.order.length - 1) / page) * page));
            draw();
        }
        function sortBy(key, down) {
            const focused = document.activeElement?.dataset?.key === key;
            Object.assign(state, { key, down, first: 0 });
            reorder();
            draw();
            if (focused)
                head.querySelector(`button[data-key="${CSS.escape(key)}"]`)?.focus();
        }
        const pager = el('div', { class: 'pager' }, previous, status, next);
        element.append(el('div', { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': caption }, el('table', null, el('caption', null, caption), el('thead', null, head), body)), pager);
        reorder();
        draw();
        return {
            element, sort: sortBy,
            order: () => state.order,
            filter(test) { state.filter = test; state.first = 0; reorder(); draw(); },
            columns(list) { columns = list; reorder(); draw(); },
            choose(key) {
                state.chosen = key;
                const at = state.order.findIndex((row) => row.key === key);
                if (at >= 0)
                    state.first = Math.floor(at / page) * page;
                draw();
            },
        };
    }

    /* ---- the strip of sites along depth ---- */

    const FAMILIES = [
        ['convolution', /^Conv/], ['dense', /^(Gemm|MatMul)$/], ['activation', /^(Relu|LeakyRelu|Clip|Sigmoid|Tanh|Hard\w+|Softmax|Elu|Selu|Gelu|PRelu)$/],
        ['pooling', /Pool|ReduceMean/], ['normalisation', /Norm|LRN/], ['combination', /^(Add|Sub|Mul|Div|Concat|Sum)$/], ['other', /./],
    ];
    const family = (op) => FAMILIES.find(([, test]) => test.test(op))[0];

    function strip(current) {
        const sites = data.report.sites, most = Math.log2(Math.max(2, ...sites.map((s) => s.units)) + 1);
        const blocks = sites.map((s, i) => el('a', {
            href: `${root}${s.file}`, class: `block ${family(s.op)}`, tabindex: s.n === (current ?? sites[0].n) ? 0 : -1,
            'aria-current': s.n === current ? 'page' : null, 'aria-label': `${s.name}, ${s.op}, ${count(s.units)} units`,
            title: `${s.n}  ${s.name}\n${s.op}, ${shape(s.shape)}\n${count(s.units)} units`,
            style: { '--tall': String(0.12 + 0.88 * Math.log2(s.units + 1) / most) },
            onkeydown: (event) => {
                const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
                if (step && blocks[i + step]) {
                    event.preventDefault();
                    event.stopPropagation();
                    blocks[i].tabIndex = -1;
                    blocks[i + step].tabIndex = 0;
                    blocks[i + step].focus();
                }
            },
        }));
        const present = [...new Set(sites.map((s) => family(s.op)))];
        return el('div', { class: 'depth' },
            el('nav', { class: 'strip', 'aria-label': 'Sites in the order in which they are computed; arrow keys move' }, blocks),
            el('p', { class: 'key' }, FAMILIES.filter(([f]) => present.includes(f)).map(([f]) => el('span', { class: `family ${f}` }, f)), el('span', { class: 'note' }, 'input → output; height: units, logarithmic')));
    }

    /* ---- files that are loaded when they are needed ---- */

    const loading = new Map();
    function need(path) {
        if (!loading.has(path))
            loading.set(path, new Promise((resolve, reject) => {
                document.head.append(el('script', { src: root + path, onload: resolve, onerror: () => reject(new Error(`${path} is missing from the report`)) }));
            }));
        return loading.get(path);
    }

    return {
        data, root, el, byId, fill, known, count, number, bytes, amount, seconds, percent, shape, level, unitName, ordered, short, firstFactor,
        about, index, who, facts, stimulus, chart, drawn, drawInside, family, specification, table, strip, need, bundles,
        /* what data files call */
        report(value) { data.report = value; },
        charts(value) { data.charts = value; },
        stimuli(value) { data.stimuli = value; },
        site(value) { data.site = value; },
        units(value) { data.units.set(value.first, value); },
    };
})();
