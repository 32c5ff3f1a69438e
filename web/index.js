/* The first page of a report. */
'use strict';

(() => {
    const { el, fill, count, number, bytes, amount, seconds, shape, who, facts, about, data } = NISSL;
    const report = data.report, { network, stimuli, cost } = report;
    const has = (x) => x !== null && x !== undefined;
    const factors = report.tuned.map((i) => stimuli.factors[i]);
    let chosen = NISSL.firstFactor(factors); /* which tuned factor the charts and the table show */

    /* ---- heading ---- */

    document.title = `${report.title} · Nissl report`;
    document.body.classList.toggle('no-twin', !report.twin);
    const parity = report.parity;
    fill('title', report.title);
    fill('summary', [
        network.format, `${amount(network.parameters)} parameters`, `${count(report.sites.length)} sites`,
        `${count(report.n_units)} units`, `${count(stimuli.count)} stimuli`,
    ].map((text) => el('span', null, text)));
    fill('chips',
        el('a', { class: `chip ${parity ? (parity.passed ? 'good' : 'bad') : 'open'}`, href: '#parity' },
            parity ? (parity.passed ? 'Parity verified' : 'Parity failed') : 'Parity not verified'),
        report.twin ? el('span', { class: 'chip' }, 'Beside a ', who('twin', 'shuffled twin')) : el('span', { class: 'chip open' }, 'No twin'),
        el('span', { class: 'chip' }, `Nissl ${report.generator.version}`),
        report.generator.time ? el('span', { class: 'chip' }, report.generator.time.replace(/^(\S+)T(\d+:\d+)\S*?(Z|\+00:00)$/, '$1 $2 UTC')) : null);

    /* ---- findings ---- */

    /* The effect with its interval on one axis, its control's beside it. */
    function interval(f) {
        const values = [f.effect, f.low, f.high, f.control].filter(NISSL.known);
        if (!NISSL.known(f.effect) || values.length < 2)
            return null;
        const none = /^probability|^median .*auROC/i.test(f.measure) ? 0.5 : 0; /* where there is no effect */
        let low = Math.min(none, ...values), high = Math.max(none, ...values);
        const pad = (high - low || 1) * 0.04, w = 260;
        low -= pad;
        high += pad;
        const x = (v) => ((v - low) / (high - low)) * w;
        const row = (kind, y, v, l, h) => (!NISSL.known(v) ? null : el('g', { class: kind },
            NISSL.known(l) && NISSL.known(h) ? el('line', { x1: x(l), x2: x(h), y1: y, y2: y }) : null,
            kind === 'network' ? el('circle', { cx: x(v), cy: y, r: 4.5 }) : el('rect', { x: x(v) - 4, y: y - 4, width: 8, height: 8 })));
        return el('svg', { class: 'interval', viewBox: `0 0 ${w} 46`, width: w, height: 46, role: 'img', 'aria-label': `Effect ${number(f.effect)}, interval ${number(f.low)} to ${number(f.high)}${NISSL.known(f.control) ? `, twin ${number(f.control)}` : ''}` },
            el('line', { class: 'zero', x1: x(none), x2: x(none), y1: 0, y2: 34 }),
            el('text', { x: Math.max(8, Math.min(w - 8, x(none))), y: 44, 'text-anchor': 'middle' }, `${none}`),
            row('network', 10, f.effect, f.low, f.high), row('twin', 25, f.control));
    }
    const finding = (f) => {
        const about = report.sites.find((s) => s.name === f.site);
        const rows = [
            [report.twin ? 'network' : 'effect', NISSL.known(f.effect) ? el('span', { class: 'who network' }, number(f.effect)) : null],
            ['95 % interval', NISSL.known(f.low) && NISSL.known(f.high) ? `${number(f.low)} to ${number(f.high)}` : null],
            ['twin', NISSL.known(f.control) ? el('span', { class: 'who twin' }, number(f.control)) : null],
        ].filter(([, v]) => has(v) && v !== '');
        return el('article', { class: 'finding' },
            el('h3', null, f.text),
            el('div', { class: 'evidence' }, f.measure ? el('p', { class: 'measure' }, f.measure) : null, interval(f),
                el('dl', null, rows.map(([name, v]) => el('div', null, el('dt', null, name), el('dd', null, v)))),
                f.sample ? el('p', { class: 'note' }, f.sample) : null),
            f.threat ? el('p', { class: 'threat' }, el('b', null, 'What could be wrong: '), f.threat) : null,
            about ? el('p', { class: 'where' }, el('a', { href: about.file }, `Units of ${about.name}`)) : null);
    };
    const FIRST = 6, more = report.findings.length - FIRST;
    fill('findings-list', report.findings.length ? [report.findings.slice(0, FIRST).map(finding), more > 0 ? el('details', { class: 'more' }, el('summary', null, more === 1 ? 'One more finding' : `${count(more)} more findings`), el('div', { class: 'findings' }, report.findings.slice(FIRST).map(finding))) : null]
        : el('p', { class: 'empty' }, 'This examination states no findings. The distributions below are the result.'));

    /* ---- the network ---- */

    fill('depth-strip', NISSL.strip());
    const port = (p) => `${p.name}: ${p.type} [${shape(p.shape)}]`;
    fill('network-facts', facts([
        ['File', el('code', null, network.path)], ['Format', network.format], ['Parameters', count(network.parameters)],
        ['Operations', network.operations ? `${amount(network.operations)} per stimulus (a multiply-add is two)` : null],
        ['Nodes', count(network.nodes)], ['Sites examined', `${count(report.sites.length)} with ${count(report.n_units)} units`],
        ['Input', network.inputs.map((p) => el('div', null, el('code', null, port(p))))],
        ['Output', network.outputs.map((p) => el('div', null, el('code', null, port(p))))],
        ['Operators', Object.entries(network.operators).sort((a, b) => b[1] - a[1]).map(([op, n]) => `${op} ${n}`).join(', ')],
        ['Hash', el('code', null, network.hash)],
    ]));

    /* ---- what was shown ---- */

    const tunedTo = (f) => report.tuned.includes(stimuli.factors.indexOf(f));
    function levels(f) {
        if (!f.levels)
            return `continuous, ${number(f.range[0])} to ${number(f.range[1])}${f.unit ? ` ${f.unit}` : ''}`;
        const shown = f.levels.slice(0, f.levels.length > 24 ? 12 : 24).map((_, i) => el('li', null, NISSL.level(f, i)));
        const per = f.counts && (Math.min(...f.counts) === Math.max(...f.counts) ? `${count(f.counts[0])} each` : `${count(Math.min(...f.counts))} to ${count(Math.max(...f.counts))} each`);
        return [`${count(f.levels.length)} levels, ${per || ''}`,
            el('details', null, el('summary', null, 'List them'), el('ul', { class: 'levels' }, (f.levels.length > 24 ? f.levels.map((_, i) => el('li', null, NISSL.level(f, i))) : shown)))];
    }
    fill('stimuli-facts', facts([
        ['Source', el('code', null, stimuli.source)], ['Stimuli', count(stimuli.count)], ['Each is', `[${shape(stimuli.shape)}]`],
        ...stimuli.factors.map((f) => [f.name === 'label' ? 'Label' : `Factor: ${f.name}`, levels(f), tunedTo(f) ? null : el('div', { class: 'note' }, 'no tuning computed')]),
        ['Preprocessing', typeof stimuli.preprocess === 'object' ? el('details', null, el('summary', null, Object.keys(stimuli.preprocess).join(', ') || 'none'), el('pre', null, JSON.stringify(stimuli.preprocess, null, 2))) : stimuli.preprocess],
        ['Hash', stimuli.hash ? el('code', null, stimuli.hash) : null],
    ]));
    fill('contact', stimuli.contact.map((i) => NISSL.stimulus(i)));
    fill('contact-note', `${count(stimuli.contact.length)} of ${count(stimuli.count)} stimuli, evenly spaced through the set.`);

    /* ---- indices across depth ---- */

    const summaryOf = (site, index) => (index.per_factor ? site.tuned[chosen]?.[index.key] : site.plain[index.key]);
    function depthRows(index, sites = report.sites) {
        const rows = [];
        for (const s of sites) {
            const q = summaryOf(s, index);
            if (q && has(q[1]))
                rows.push({ depth: s.n, site: s.name, op: s.op, units: s.units, who: 'network', low: q[0], median: q[1], high: q[2] });
            if (q && has(q[5]))
                rows.push({ depth: s.n, site: s.name, op: s.op, units: s.units, who: 'twin', low: q[4], median: q[5], high: q[6] });
        }
        return rows;
    }
    /* Sites of one kind of operator: a line through all of them jumps between a sum and its rectification. */
    const families = [...new Set(report.sites.map((s) => NISSL.family(s.op)))].map((name) => [name, report.sites.filter((s) => NISSL.family(s.op) === name)]).filter(([, list]) => list.length > 2);
    let shownSites = (report.sites.length > 15 && families.find(([name, list]) => name === 'activation' && list.length > 5)?.[1]) || report.sites;
    function chooseSites(list) {
        shownSites = list;
        fill('family-depth', families.length > 1 ? [el('span', null, 'Sites'), [['all', report.sites], ...families].map(([name, sites]) =>
            el('button', { type: 'button', 'aria-pressed': String(sites.length === list.length && sites[0] === list[0]), onclick: () => { chooseSites(sites); drawDepth(); } }, `${name} ${count(sites.length)}`))] : null);
    }
    chooseSites(shownSites);
    const go = (datum) => {
        const site = report.sites.find((s) => s.n === datum.depth);
        if (site)
            location.href = site.file;
    };
    function drawDepth() {
        const absent = [];
        fill('depth-charts', report.indices.filter((i) => i.depth).map((index) => {
            const rows = depthRows(index, shownSites);
            if (!rows.length) {
                absent.push(index.name);
                return null;
            }
            const spec = NISSL.specification('depth', rows, { unit: index.axis, zero: !(index.range?.[0] > 0), description: `${index.name} along depth: median and quartiles over the units of each site` });
            return el('section', { class: 'panel' },
                el('h3', null, index.name, about(index), index.per_factor && factors.length > 1 ? el('small', null, ` to ${factors[chosen].name}`) : null),
                NISSL.chart(spec, { name: `depth-${index.key}`, height: 170, click: go, alt: `${index.name} across ${report.sites.length} sites, network beside twin; the table of sites has the medians` }));
        }));
        fill('depth-absent', absent.length ? `Not defined on these stimuli (fewer than two per condition in each half): ${absent.join(', ')}.` : '');
    }

    /* ---- the table of sites ---- */

    /* The network's median and quartiles over the twin's, on one axis per column. */
    function bars(q, low, high) {
        if (!q || !has(q[1]))
            return el('span', { class: 'missing' }, '–');
        const w = 76, x = (v) => ((Math.min(high, Math.max(low, v)) - low) / (high - low || 1)) * w;
        const row = (kind, y, a, m, b) => (has(m) ? el('g', { class: kind }, el('line', { x1: x(a), x2: x(b), y1: y, y2: y }), kind === 'network' ? el('circle', { cx: x(m), cy: y, r: 3 }) : el('rect', { x: x(m) - 2.5, y: y - 2.5, width: 5, height: 5 })) : null);
        return el('span', { class: 'cellbars' }, el('svg', { width: w + 6, height: 18, viewBox: `-3 0 ${w + 6} 18`, 'aria-hidden': 'true' }, row('network', 5, q[0], q[1], q[2]), row('twin', 13, q[4], q[5], q[6])),
            el('span', { class: 'two' }, el('span', { class: 'network' }, number(q[1], 2)), el('span', { class: 'twin' }, number(q[5], 2))));
    }
    function siteColumns() {
        const shown = report.indices.filter((i) => i.table && i.depth && depthRows(i).length);
        return [
            { key: 'n', name: '#', title: 'Order of execution', value: (s) => s.n, cell: (s) => String(s.n) },
            { key: 'name', name: 'Site', title: 'Name of the tensor', text: true, header: true, value: (s) => s.name, cell: (s) => el('a', { href: s.file }, s.name) },
            { key: 'op', name: 'Operator', text: true, value: (s) => s.op },
            { key: 'units', name: 'Units', value: (s) => s.units, cell: (s) => count(s.units) },
            { key: 'positions', name: 'Positions', title: 'Positions per unit; averaged into its value', value: (s) => s.positions, cell: (s) => count(s.positions) },
            { key: 'silent', name: 'Silent', title: 'Units that gave the same value to every stimulus', value: (s) => s.silent, cell: (s) => count(s.silent) },
            ...shown.map((index) => {
                const all = report.sites.flatMap((s) => { const q = summaryOf(s, index); return q ? [q[0], q[2], q[4], q[6]].filter(NISSL.known) : []; });
                const low = Math.min(0, ...all), high = Math.max(...all);
                return { key: index.key, name: index.short, title: `${index.name}: median over units; bar: quartiles`, value: (s) => summaryOf(s, index)?.[1], cell: (s) => bars(summaryOf(s, index), low, high) };
            }),
        ];
    }
    let sites = null;
    function drawSites() {
        sites = NISSL.table({ caption: 'Sites', rows: report.sites.map((s) => Object.assign(s, { key: s.n })), columns: siteColumns(), page: 100 });
        fill('sites-table', sites.element);
        search();
    }
    const box = NISSL.byId('sites-filter');
    const search = () => sites.filter((s) => `${s.name} ${s.op} ${s.node}`.toLowerCase().includes(box.value.trim().toLowerCase()));
    box.addEventListener('input', search);

    function choose(i) {
        chosen = i;
        document.querySelectorAll('[data-factor]').forEach((b) => b.setAttribute('aria-pressed', String(Number(b.dataset.factor) === i)));
        drawDepth();
        drawSites();
    }
    for (const id of ['factor-depth', 'factor-sites'])
        fill(id, factors.length > 1 ? [el('span', null, 'Tuned to'), factors.map((f, i) => el('button', { type: 'button', 'data-factor': i, onclick: () => choose(i) }, f.name))] : null);
    choose(chosen);

    /* ---- parity, cost, the rest ---- */

    /* A result table as the library writes it: {columns: [{name, unit, description, type}], rows}. */
    function resultTable(t, caption) {
        const rows = t.rows.map((values, key) => ({ key, values }));
        return NISSL.table({ caption, rows, page: 20, columns: t.columns.map((c, i) => ({
            key: c.name, name: c.name.replaceAll('_', ' '), title: c.description, text: c.type === 'text', header: i === 0,
            value: (r) => r.values[i], ...(c.type === 'integer' ? { cell: (r) => count(r.values[i]) } : {}) })) }).element;
    }
    const { tensors, ...rest } = parity || {};
    fill('parity-text', parity
        ? [el('p', null, parity.sentence || (parity.passed ? 'Every stored reference output was reproduced within tolerance.' : 'At least one stored reference output was not reproduced within tolerance.')),
            el('details', { open: !parity.passed }, el('summary', null, 'All numbers'),
                tensors?.columns ? resultTable(tensors, 'Tensors compared') : null, tree(rest))]
        : [el('p', null, 'Not verified: this network’s outputs were not compared with those of the framework it came from. Every number here assumes that it computes what its author’s copy computes.'),
            el('p', { class: 'note' }, 'To verify: ', el('code', null, 'nissl examine MODEL STIMULI --reference DIR'), ', where DIR holds inputs and the outputs that the other framework gave for them.')]);
    fill('cost-facts', facts([
        ['Recording', seconds(cost.seconds_recording)], ['Tuning', seconds(cost.seconds_tuning)],
        ['Rate', NISSL.known(cost.stimuli_per_second) ? `${number(cost.stimuli_per_second)} stimuli/s${report.twin ? ', each shown to network and twin' : ''}` : null],
        ['Memory planned', bytes(cost.planned_bytes)], ['Memory expected, with program and libraries', cost.expected_bytes ? bytes(cost.expected_bytes) : null], ['Memory resident, peak', cost.resident_bytes ? bytes(cost.resident_bytes) : null],
        ['Recording on disk', cost.disk_bytes ? bytes(cost.disk_bytes) : null], ['Threads', has(cost.threads) ? count(cost.threads) : null],
    ]));
    fill('untested', report.not_tested.map((t) => el('li', null, t)));

    function tree(value) {
        if (Array.isArray(value))
            return value.length ? (value.every((v) => typeof v !== 'object') ? value.join(', ') : el('ol', null, value.map((v) => el('li', null, tree(v))))) : '–';
        if (value && typeof value === 'object')
            return el('dl', { class: 'tree' }, Object.entries(value).map(([k, v]) => el('div', null, el('dt', null, k), el('dd', null, tree(v)))));
        return has(value) && value !== '' ? String(value) : '–';
    }
    fill('parameters-table', report.parameters.length ? el('table', { class: 'plain' },
        el('thead', null, el('tr', null, ['Option', 'Value', 'Set by', 'Default', 'What it does'].map((t) => el('th', { scope: 'col' }, t)))),
        el('tbody', null, report.parameters.map((p) => el('tr', { class: p.set && p.set !== 'default' ? 'changed' : null },
            el('th', { scope: 'row' }, el('code', null, p.name)), el('td', null, tree(p.value)), el('td', null, p.set), el('td', { class: 'note' }, tree(p.default)), el('td', { class: 'note' }, p.description))))) : null);
    fill('provenance-tree', el('details', null, el('summary', null, 'Everything the recording says about where it came from'), tree(report.provenance)));
    fill('indices-list', report.indices.map((i) => el('div', null, el('dt', null, i.name), el('dd', null, i.text, i.formula ? el('span', { class: 'formula' }, i.formula) : null, i.source ? el('span', { class: 'source' }, i.source) : null))));
    fill('files-table', el('table', { class: 'plain' }, el('tbody', null, report.files.map(([path, size, text]) =>
        el('tr', null, el('th', { scope: 'row' }, el('a', { href: path }, path)), el('td', { class: 'number' }, NISSL.known(size) ? bytes(size) : ''), el('td', { class: 'note' }, text))))));
    if (!NISSL.bundles())
        NISSL.byId('no-bundles').hidden = false;
    document.body.dataset.ready = 'yes';
})();
