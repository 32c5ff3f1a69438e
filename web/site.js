/* A site's page: its distributions, the table of its units, and one unit's sheet. */
'use strict';

(() => {
    const { el, fill, byId, known, count, number, amount, percent, shape, level, about, who, facts, data } = NISSL;
    const report = data.report, site = data.site, sites = report.sites;
    const at = sites.findIndex((s) => s.n === site.n), info = sites[at];
    const factors = report.tuned.map((i) => report.stimuli.factors[i]);
    const plain = report.indices.filter((i) => !i.per_factor), perFactor = report.indices.filter((i) => i.per_factor);
    const SUMMARY = { mean: 'their mean', max: 'their maximum', centre: 'that of the central one' };
    let chosen = NISSL.firstFactor(factors); /* the factor that the table and the distributions show */
    let current = null; /* the unit whose sheet is open */

    const values = (index, factor) => (index.per_factor ? site.tuned[factor]?.[index.key] : site.columns[index.key]);
    const spread = (index, factor) => (index.per_factor ? site.distributions.tuned[factor]?.[index.key] : site.distributions.plain[index.key]);
    const defined = (list) => list?.some(known);

    /* ---- heading ---- */

    document.title = `${info.name} · ${report.title} · Nissl report`;
    document.body.classList.toggle('no-twin', !report.twin);
    fill('home', report.title);
    fill('title', info.name);
    fill('summary', [info.op, shape(info.shape), `${count(info.units)} units`, info.positions > 1 ? `${count(info.positions)} positions each` : null,
        info.output ? 'output of the network' : null].filter(Boolean).map((t) => el('span', null, t)));
    const link = (s, text, key) => (s ? el('a', { href: `../${s.file}`, rel: key, title: `${s.name}, ${s.op}` }, text) : el('span', { class: 'off' }, text));
    fill('turn', link(sites[at - 1], '‹ previous site', 'prev'), el('span', null, `${at + 1} of ${sites.length}`), link(sites[at + 1], 'next site ›', 'next'));
    fill('depth-strip', NISSL.strip(site.n));
    fill('site-facts', facts([
        ['Node', el('code', null, info.node)],
        ['Positions', info.positions > 1 ? `${count(info.positions)}; a unit’s value on a stimulus is ${SUMMARY[report.summary] ?? 'a summary of them'}` : 'one'],
        ['Silent units', `${count(info.silent)}${NISSL.known(info.twin_silent) ? ` (twin: ${count(info.twin_silent)})` : ''}: the same value on every stimulus`],
        ['Weights', info.parameters ? count(info.parameters) : null], ['Operations', info.operations ? `${amount(info.operations)} per stimulus` : null],
    ]));

    /* ---- distributions ---- */

    function distribution(index, factor) {
        const d = spread(index, factor);
        if (!d || !d.network)
            return null;
        const rows = d.network.map((share, i) => ({ low: d.edges[i], high: d.edges[i + 1], network: share, ...(d.twin ? { twin: d.twin[i] } : {}) }));
        rows.push({ low: d.edges.at(-1), high: null, network: d.network.at(-1), ...(d.twin ? { twin: d.twin.at(-1) } : {}) });
        const spec = NISSL.specification('distribution', rows, { unit: index.axis, share: `share of ${index.over || 'units'}`, description: `${index.name} over the ${index.over || 'units'} of ${info.name}` });
        const median = (kind, q) => (q ? el('span', { class: kind }, `${kind} median ${number(q[2])}`) : null);
        return el('section', { class: 'panel' }, el('h3', null, index.name, about(index)),
            el('p', { class: 'medians' }, median('network', d.q), median('twin', d.twin_q)),
            NISSL.chart(spec, { name: `site_${site.n}-${index.key}`, height: 120, alt: `Distribution of ${index.name}: network median ${number(d.q?.[2])}${d.twin_q ? `, twin median ${number(d.twin_q[2])}` : ''}` }));
    }
    function drawDistributions() {
        const absent = [];
        fill('distribution-charts', report.indices.filter((i) => i.distribution).map((index) => {
            const panel = distribution(index, chosen);
            if (!panel)
                absent.push(index.name);
            return panel;
        }));
        fill('distribution-absent', absent.length ? `Not defined here: ${absent.join(', ')}.` : '');
        const p = site.preferred?.[chosen], factor = factors[chosen];
        if (!p || !factor)
            return void fill('preferred');
        const total = (list) => list.reduce((a, b) => a + b, 0);
        let which = factor.levels.map((_, i) => i);
        const many = which.length > 40;
        if (many)
            which = which.sort((a, b) => p.network[b] - p.network[a] || a - b).slice(0, 12);
        const rows = which.flatMap((i, order) => [['network', p.network], ['twin', p.twin]].filter(([, list]) => list).map(([kind, list]) =>
            ({ level: level(factor, i), order, who: kind, units: list[i], share: list[i] / Math.max(1, total(list)) })));
        const spec = NISSL.specification(many ? 'preferred-named' : 'preferred', rows, { factor: factor.name, angle: which.length > 12 ? -45 : 0, description: `Units of ${info.name} that prefer each ${factor.name}` });
        fill('preferred', el('section', { class: 'panel wide' }, el('h3', null, `Preferred ${factor.name}`, el('small', null, many ? ` the ${rows.length && which.length} that most units prefer, of ${count(factor.levels.length)}` : ` ${count(total(p.network))} units that respond unevenly`)),
            NISSL.chart(spec, { name: `site_${site.n}-preferred-${factor.name}`, height: many ? 22 * which.length + 34 : 150, alt: `How many units prefer each ${factor.name}` })));
    }

    /* ---- the table of units ---- */

    const rows = Array.from({ length: info.units }, (_, i) => ({ key: i }));
    const silent = (i) => site.columns.sd?.[i] === 0;
    const preferred = (i, f) => level(factors[f], site.tuned[f].preferred[i]);

    function columns() {
        const shown = [...perFactor.map((x) => [x, values(x, chosen)]), ...plain.map((x) => [x, values(x)])].filter(([x, list]) => x.table && defined(list));
        return [
            { key: 'unit', name: 'Unit', header: true, value: (r) => r.key, cell: (r) => el('a', { href: `#unit-${r.key}` }, String(r.key)) },
            ...(factors.length ? [{ key: 'preferred', name: 'Prefers', title: `Condition of ${factors[chosen].name} with the largest mean response`, text: true,
                value: (r) => { const p = site.tuned[chosen].preferred[r.key]; return p < 0 ? null : NISSL.ordered(factors[chosen]) ? Number(factors[chosen].levels[p]) : factors[chosen].levels[p]; }, cell: (r) => el('span', { title: preferred(r.key, chosen) }, NISSL.short(preferred(r.key, chosen), 22)) }] : []),
            ...shown.map(([x, list]) => ({ key: x.key, name: x.short, title: `${x.name}. ${x.text}`, value: (r) => list[r.key], cell: (r) => cell(x, list[r.key]) })),
        ];
    }
    /* A number over a faint bar of where it lies in the index's range. */
    function cell(index, value) {
        if (!known(value))
            return el('span', { class: 'missing' }, '–');
        const text = index.percent ? percent(value) : number(value);
        if (!index.range)
            return text;
        const share = Math.max(0, Math.min(1, (value - index.range[0]) / (index.range[1] - index.range[0])));
        return el('span', { class: 'bar', style: { '--share': `${100 * share}%` } }, text);
    }
    /* held out where that is defined */
    const firstSort = () => [...plain, ...perFactor].findLast((x) => x.sort && defined(values(x, chosen)));
    let units = null;
    function drawUnits() {
        const by = firstSort();
        units = NISSL.table({ caption: `Units of ${info.name}`, rows, columns: columns(), page: innerWidth < 700 ? 15 : 50, sort: by ? { key: by.key, down: true } : { key: 'unit' }, onrow: (r) => open(r.key, { focus: innerWidth < 1100 }) });
        fill('units-table', units.element);
        filter();
        units.choose(current);
    }

    /* "17" is that unit, "name > 0.5" compares an index, other words look in the preferred condition. */
    const COMPARE = { '>': (a, b) => a > b, '<': (a, b) => a < b, '>=': (a, b) => a >= b, '<=': (a, b) => a <= b, '=': (a, b) => a === b };
    function filter() {
        const text = byId('units-filter').value.trim(), hide = byId('units-silent').checked;
        const tests = [];
        const rest = text.replace(/([\p{L}_′' -]+?)\s*(>=|<=|>|<|=)\s*(-?[\d.]+(?:e-?\d+)?)/gu, (all, name, op, value) => {
            const key = name.trim().toLowerCase();
            const x = report.indices.find((i) => [i.key, i.short.toLowerCase(), i.name.toLowerCase()].some((n) => n === key || n.replaceAll('_', ' ') === key))
                || report.indices.find((i) => i.key.includes(key) || i.name.toLowerCase().includes(key));
            const list = key === 'unit' ? rows.map((r) => r.key) : x && values(x, chosen);
            tests.push(list ? (r) => known(list[r.key]) && COMPARE[op](list[r.key], Number(value)) : () => false);
            return '';
        }).trim().toLowerCase();
        if (/^\d+$/.test(rest))
            tests.push((r) => r.key === Number(rest));
        else if (rest)
            tests.push((r) => factors.some((_, f) => preferred(r.key, f).toLowerCase().includes(rest)));
        units.filter((r) => (!hide || !silent(r.key)) && tests.every((t) => t(r)));
    }
    byId('units-filter').addEventListener('input', filter);
    byId('units-silent').addEventListener('change', filter);

    /* ---- one unit's sheet ---- */

    /* Where a unit lies: the site's 5 to 95 % and quartiles, the twin's below, the unit's mark. */
    function place(index, factor, value) {
        const d = spread(index, factor);
        if (!d?.q || !known(value))
            return null;
        const w = 200, ends = [d.edges[0], d.edges.at(-1), value];
        const low = Math.min(...ends), high = Math.max(...ends), x = (v) => 4 + ((v - low) / (high - low || 1)) * (w - 8);
        const band = (kind, y, q) => (q ? el('g', { class: kind }, el('line', { class: 'thin', x1: x(q[0]), x2: x(q[4]), y1: y, y2: y }), el('line', { class: 'thick', x1: x(q[1]), x2: x(q[3]), y1: y, y2: y }), el('line', { class: 'median', x1: x(q[2]), x2: x(q[2]), y1: y - 4, y2: y + 4 })) : null);
        return el('svg', { class: 'place', viewBox: `0 0 ${w} 26`, width: w, height: 26, 'aria-hidden': 'true' },
            el('line', { class: 'here', x1: x(value), x2: x(value), y1: 3, y2: 26 }), el('polygon', { class: 'here', points: `${x(value) - 4},0 ${x(value) + 4},0 ${x(value)},6` }),
            band('network', 12, d.q), band('twin', 20, d.twin_q));
    }
    const sorted = new Map();
    function percentile(index, factor, value) {
        const key = `${index.key}/${factor}`;
        if (!sorted.has(key))
            sorted.set(key, Float64Array.from((values(index, factor) || []).filter(known)).sort());
        const list = sorted.get(key);
        if (!known(value) || list.length < 2)
            return '';
        let below = 0, same = 0;
        for (const v of list) {
            below += v < value;
            same += v === value;
        }
        return Math.round((100 * (below + same / 2)) / list.length);
    }
    const ordinal = (n) => `${n}${n % 100 > 10 && n % 100 < 14 ? 'th' : ['th', 'st', 'nd', 'rd'][n % 10] || 'th'}`;

    function indexRow(index, factor, unit) {
        const value = values(index, factor)?.[unit], d = spread(index, factor);
        if (!known(value))
            return null;
        const p = percentile(index, factor, value);
        return el('tr', null, el('th', { scope: 'row' }, index.name, about(index)), el('td', { class: 'number' }, index.percent ? percent(value) : number(value, 4)),
            el('td', { class: 'number' }, p === '' ? '' : ordinal(p)), el('td', { class: 'where' }, place(index, factor, value)),
            el('td', { class: 'number twin' }, d?.twin_q ? `${number(d.twin_q[0])} to ${number(d.twin_q[4])}` : ''));
    }
    function indices(unit) {
        const body = (list, factor) => list.map((x) => indexRow(x, factor, unit)).filter(Boolean);
        const head = (text) => el('tr', { class: 'group' }, el('th', { colspan: 5, scope: 'colgroup' }, text));
        return el('div', { class: 'scroll' }, el('table', { class: 'indices' },
            el('thead', null, el('tr', null, el('th', { scope: 'col' }, 'Index'), el('th', { scope: 'col', class: 'number' }, 'Value'), el('th', { scope: 'col', class: 'number', title: 'Percentile among the units of this site' }, 'Percentile'),
                el('th', { scope: 'col' }, 'In the site'), el('th', { scope: 'col', class: 'number twin', title: '5th to 95th percentile over the twin’s units of this site' }, 'Twin 5–95 %'))),
            el('tbody', null, body(plain.filter((x) => x.sheet), 0),
                sheetOrder.map((i) => { const f = factors[i], list = body(perFactor.filter((x) => x.sheet), i); return list.length ? [head(`Tuned to ${f.name}: prefers ${NISSL.short(preferred(unit, i), 60)}`), list] : null; }))));
    }

    function curve(factor, f, part, k) {
        const c = part.curves[f], name = `${info.name}:${part.first + k}`;
        const row = (i, mean, se) => ({ level: level(factor, i), mean, ...(known(se) ? { se, low: mean - se, high: mean + se } : {}) });
        /* An axis begins at zero unless that would flatten the curve. */
        const base = (list) => {
            const low = Math.min(...list.map((r) => r.mean)), high = Math.max(...list.map((r) => r.mean));
            return low * high <= 0 || high - low > 0.25 * Math.max(Math.abs(low), Math.abs(high));
        };
        const label = `${factor.name}${factor.unit && factor.unit !== '1' ? ` (${factor.unit})` : ''}`;
        const trim = (spec) => { /* no error bars where no condition has them */
            spec.layer = spec.layer.filter((l) => l.mark.type !== 'rule' || spec.data.values.some((r) => 'se' in r));
            if (!spec.data.values.some((r) => 'se' in r))
                for (const l of spec.layer)
                    for (const axis of ['x', 'y'])
                        if (l.encoding?.[axis]?.field === 'mean')
                            l.encoding[axis].title = 'mean response';
            return spec;
        };
        const likes = site.tuned[f].preferred[part.first + k] >= 0 ? ` prefers ${NISSL.short(preferred(part.first + k, f), 24)}` : ' no preference';
        const title = el('h3', null, `Tuning to ${factor.name}`, el('small', null, likes));
        const file = `site_${site.n}-unit_${part.first + k}-${factor.name}`;
        if (!c.levels && NISSL.ordered(factor) && factor.levels.length > 2) {
            const numbers = factor.levels.map(Number), positive = numbers.every((v) => v > 0);
            const even = Math.max(...numbers) / Math.min(...numbers) < 8 || !positive;
            const list = numbers.map((x, i) => ({ x, ...row(i, c.mean[k][i], c.se[k][i]) })).filter((r) => known(r.mean));
            return el('section', { class: 'panel' }, title, NISSL.chart(trim(NISSL.specification('curve-ordered', list, { factor: label, scale: even ? 'linear' : 'log', zero: even ? false : null, base: base(list), ticks: numbers, description: `Tuning curve of ${name} to ${factor.name}` })),
                { name: file, height: 190, alt: `Tuning curve to ${factor.name}: prefers ${preferred(part.first + k, f)}` }));
        }
        const shown = (c.levels ? c.levels[k] : factor.levels.map((_, i) => i)).map((i, j) => [i, c.mean[k][j], c.se[k][j]]).filter(([, m]) => known(m));
        if (!NISSL.ordered(factor) || c.levels)
            shown.sort((a, b) => b[1] - a[1]);
        const list = shown.map(([i, m, s], order) => ({ order, ...row(i, m, s) }));
        const all = c.levels ? ` the ${list.length} strongest of ${count(factor.levels.length)} conditions` : likes;
        return el('section', { class: 'panel' }, el('h3', null, `Tuning to ${factor.name}`, el('small', null, all)),
            list.length ? NISSL.chart(trim(NISSL.specification('curve-named', list, { factor: label, base: base(list), description: `Mean response of ${name} to conditions of ${factor.name}` })), { name: file, height: 17 * list.length + 34, alt: `Mean response to ${list.length} conditions of ${factor.name}, strongest first` }) : el('p', { class: 'empty' }, 'No responses.'),
            c.ranked ? [el('h4', null, 'All conditions, ranked'), NISSL.chart(trim(NISSL.specification('ranked', c.ranked[k].map((mean, i, list2) => ({ rank: 1 + (i * (factor.levels.length - 1)) / (list2.length - 1), mean })), { rank: `rank of ${factor.name}`, description: `Ranked mean responses of ${name}` })), { name: `${file}-ranked`, height: 110, alt: 'Mean responses of all conditions, strongest first' })] : null);
    }
    function histogram(part, k, unit) {
        const h = part.histogram;
        if (!h)
            return null;
        const [low, high] = [h.low[k], h.high[k]], n = h.counts[k];
        if (!known(low) || !n)
            return el('section', { class: 'panel' }, el('h3', null, 'Values'), el('p', { class: 'empty' }, 'One value on everything shown.'));
        const list = n.map((c, i) => ({ low: low + ((high - low) * i) / n.length, high: low + ((high - low) * (i + 1)) / n.length, count: c }));
        const mean = site.columns.mean?.[unit];
        if (known(mean))
            list.push({ mean });
        const spec = NISSL.specification('values', list, { unit: 'value', counted: h.counted, description: `Values of ${info.name}:${unit}` });
        return el('section', { class: 'panel' }, el('h3', null, 'Values', el('small', null, ` ${h.text}`)), NISSL.chart(spec, { name: `site_${site.n}-unit_${unit}-values`, height: 130, alt: `Histogram of the unit’s values, mean ${number(mean)}` }));
    }
    const exemplars = (title, part, k) => (part?.stimulus[k]?.length ? el('section', { class: 'exemplars' }, el('h3', null, title),
        el('div', { class: 'pictures' }, part.stimulus[k].map((i, j) => NISSL.stimulus(i, part.value[k][j])))) : null);

    const sheetOrder = factors.map((_, i) => i).sort((a, b) => (factors[a].name === 'source') - (factors[b].name === 'source') || a - b);
    let turn = 0; /* the sheet asked for last wins when files arrive out of order */
    async function open(unit, { hash = true, focus = false } = {}) {
        if (!(unit >= 0 && unit < info.units)) {
            fill('sheet', el('p', { class: 'empty' }, `This site has units 0 to ${count(info.units - 1)}; there is no unit ${unit}.`));
            return;
        }
        current = unit;
        if (hash && location.hash !== `#unit-${unit}`)
            history.replaceState(null, '', `#unit-${unit}`);
        units.choose(unit);
        const ticket = ++turn, first = Math.floor(unit / site.chunk) * site.chunk;
        const sheet = byId('sheet');
        try {
            if (!data.units.has(first))
                await NISSL.need(`data/site_${String(site.n).padStart(3, '0')}_${first}.js`);
        } catch (error) {
            fill(sheet, el('p', { class: 'warning' }, error.message));
            return;
        }
        if (ticket !== turn)
            return;
        const part = data.units.get(first), k = unit - first, name = `${info.name}:${unit}`;
        const order = units.order(), place = order.findIndex((r) => r.key === unit);
        const active = site.columns.active?.[unit];
        fill(sheet, el('header', { id: `unit-${unit}` },
            el('h2', null, el('span', { class: 'of' }, `${info.name}:`), String(unit)),
            el('div', { class: 'turn' },
                el('button', { type: 'button', disabled: place <= 0, onclick: () => step(-1), 'aria-label': 'Previous unit (k)' }, '‹'),
                el('span', null, place < 0 ? 'not in the table' : `${count(place + 1)} of ${count(order.length)}`),
                el('button', { type: 'button', disabled: place < 0 || place >= order.length - 1, onclick: () => step(1), 'aria-label': 'Next unit (j)' }, '›'),
                el('a', { class: 'permalink', href: `#unit-${unit}`, title: 'Link to this unit' }, 'link'))),
            el('p', { class: 'summary' }, [silent(unit) ? 'silent: one value on every stimulus' : null,
                known(active) ? `active on ${percent(active)} of samples` : null,
                factors.length === 1 && site.tuned[0].preferred[unit] >= 0 ? `prefers ${preferred(unit, 0)}` : null].filter(Boolean).map((t) => el('span', null, t))),
            exemplars('Strongest', part.strongest, k), exemplars('Weakest', part.weakest, k),
            el('div', { class: 'panels curves' }, sheetOrder.map((i) => curve(factors[i], i, part, k)), histogram(part, k, unit)),
            el('h3', null, 'Indices'), indices(unit));
        NISSL.drawInside(sheet);
        sheet.dataset.unit = String(unit);
        if (focus) {
            sheet.focus({ preventScroll: true });
            (window.innerWidth < 1100 ? sheet : byId('units')).scrollIntoView({ block: 'start' });
        }
    }
    function step(by) {
        const order = units.order(), i = order.findIndex((r) => r.key === current), next = order[i < 0 ? 0 : i + by];
        if (next)
            open(next.key);
    }
    document.addEventListener('keydown', (event) => {
        if (event.target.closest('input, select, textarea, .strip') || event.ctrlKey || event.metaKey || event.altKey)
            return;
        const by = { j: 1, k: -1, ArrowRight: 1, ArrowLeft: -1 }[event.key];
        if (by && !(event.key.startsWith('Arrow') && event.target.closest('.scroll'))) {
            event.preventDefault();
            step(by);
        }
    });

    const wanted = () => /^#unit-(\d+)$/.exec(location.hash)?.[1];
    window.addEventListener('hashchange', () => { const u = wanted(); if (u !== undefined) open(Number(u), { hash: false, focus: true }); });

    function choose(i) {
        chosen = i;
        document.querySelectorAll('[data-factor]').forEach((b) => b.setAttribute('aria-pressed', String(Number(b.dataset.factor) === i)));
        drawDistributions();
        drawUnits();
    }
    fill('factor-top', factors.length > 1 ? [el('span', null, 'Tuned to'), factors.map((f, i) => el('button', { type: 'button', 'data-factor': i, onclick: () => choose(i) }, f.name))] : null);
    choose(chosen);
    if (!NISSL.bundles())
        byId('no-bundles').hidden = false;
    const u = wanted();
    if (u !== undefined)
        open(Number(u), { hash: false, focus: true });
    else if (units.order().length)
        open(units.order()[0].key, { hash: false });
    document.body.dataset.ready = 'yes';
})();
