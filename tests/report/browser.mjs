/*
 * Opens reports from disk in headless Chromium and uses them as a reader would:
 * node browser.mjs PLAYWRIGHT_CORE CHROMIUM REPORT... --plain REPORT (one without bundles)
 * Fails on any console error or warning, any request that is not for a file, any name that became code.
 */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import os from 'node:os';
import path from 'node:path';

const [core, executablePath, ...folders] = process.argv.slice(2);
const reports = folders.slice(0, folders.indexOf('--plain')), plain = folders.at(-1);
const { chromium } = createRequire(import.meta.url)(path.resolve(core));
const profile = fs.mkdtempSync(path.join(os.tmpdir(), 'nissl-browser-'));
const context = await chromium.launchPersistentContext(profile, {
    executablePath, headless: true,
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
});
let checks = 0;
const check = (condition, text) => { checks++; assert.ok(condition, text); };

async function open(file, { width = 1600, scheme = 'light', hash = '' } = {}) {
    const page = await context.newPage(), complaints = [];
    page.on('console', (m) => ['error', 'warning'].includes(m.type()) && complaints.push(`${m.type()}: ${m.text()}`));
    page.on('pageerror', (e) => complaints.push(`exception: ${e.message}`));
    page.on('dialog', (d) => { complaints.push(`dialog: ${d.message()}`); d.dismiss(); });
    page.on('request', (r) => /^(file|data|blob):/.test(r.url()) || complaints.push(`request: ${r.url()}`));
    page.on('requestfailed', (r) => complaints.push(`failed: ${r.url()}`));
    page.setDefaultTimeout(120000);
    await page.emulateMedia({ colorScheme: scheme });
    await page.setViewportSize({ width, height: 900 });
    await page.goto(`file://${encodeURI(path.resolve(file)).replaceAll('#', '%23')}${hash}`);
    await page.waitForSelector('body[data-ready]');
    return {
        page,
        async close() {
            check(!(await page.evaluate(() => 'hacked' in window)), `${file}: a name became code`);
            check((await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)) <= 0, `${file}: scrolls sideways at ${width} px`);
            assert.deepEqual(complaints, [], `${file} at ${width} px, ${scheme}`);
            await page.close();
        },
    };
}

/* Every chart of a page comes into view and has marks. */
async function drawn(page, file) {
    await page.evaluate(async () => {
        /* one after the other: a page that is scrolled past on a busy machine never notices what came into view */
        for (const plot of document.querySelectorAll('.plot')) {
            plot.scrollIntoView({ block: 'center' });
            for (const end = Date.now() + 60000; !plot.dataset.drawn && Date.now() < end;)
                await new Promise((r) => setTimeout(r, 30));
        }
    });
    check(await page.evaluate(() => [...document.querySelectorAll('.plot')].every((p) => p.dataset.drawn)), `${file}: every chart is drawn`);
    const marks = await page.evaluate(() => [...document.querySelectorAll('.plot')].map((p) => p.querySelectorAll('svg .mark-area path, svg .mark-rect path, svg .mark-line path, svg .mark-symbol path').length));
    check(marks.length > 0 && marks.every((n) => n > 0), `${file}: ${marks.length} charts with ${marks} marks`);
}

const column = (page, table, n) => page.$$eval(`${table} tbody tr`, (rows, i) => rows.map((r) => Number(r.children[i].textContent.replace(/[^\d.−-]/g, '').replace('−', '-'))), n);
const rising = (list) => list.every((v, i) => i === 0 || list[i - 1] <= v);

async function testIndex(folder) {
    const file = path.join(folder, 'index.html');
    for (const [width, scheme] of [[1600, 'light'], [390, 'dark']]) {
        const { page, close } = await open(file, { width, scheme });
        await drawn(page, file);
        check((await page.$$('#findings-list .finding, #findings-list .empty')).length > 0, 'findings or a sentence that there are none');
        check((await page.$$('#contact img')).length > 0, 'a contact sheet');
        check((await page.$$('#untested li')).length > 0, 'what was not tested');
        const header = page.locator('#sites-table th button[data-key="units"]');
        await header.click();
        let units = await column(page, '#sites-table', 3);
        check(units.length > 1 && rising([...units].reverse()), `sites sorted by units, falling: ${units}`);
        await header.click();
        check(rising(await column(page, '#sites-table', 3)), 'sites sorted by units, rising');
        check((await page.getAttribute('#sites-table th:nth-child(4)', 'aria-sort')) === 'ascending', 'the order is announced');
        await page.fill('#sites-filter', 'conv');
        check((await page.$$eval('#sites-table tbody tr', (rows) => rows.map((r) => r.textContent.toLowerCase()))).every((t) => t.includes('conv')), 'sites filtered');
        await page.locator('#across .info').first().click();
        check(await page.locator('.pop:popover-open').first().isVisible(), 'an index is explained');
        await close();
    }
    const { page, close } = await open(file, { width: 700 });
    const sites = await page.evaluate(() => NISSL.data.report.sites.map((s) => ({ n: s.n, file: s.file, units: s.units })));
    /* a chart in the page is the chart in its file */
    const all = page.locator('#family-depth button').first();
    if (await all.count())
        await all.click();
    const same = await page.evaluate(() => NISSL.data.report.indices.filter((i) => i.depth && !i.per_factor).map((i) => `depth-${i.key}`));
    for (const name of same) {
        const saved = path.join(folder, 'charts', `${name}.vl.json`);
        if (!fs.existsSync(saved))
            continue;
        const stored = JSON.parse(fs.readFileSync(saved, 'utf8')), shown = await page.evaluate((n) => NISSL.drawn.get(n), name);
        assert.deepEqual(shown.data, stored.data, name);
        assert.deepEqual(shown.layer, stored.layer, name);
        checks += 2;
    }
    await close();
    return sites;
}

async function testSite(folder, site) {
    const file = path.join(folder, site.file), last = site.units - 1;
    for (const [width, scheme] of [[1600, 'dark'], [390, 'light']]) {
        const { page, close } = await open(file, { width, scheme, hash: `#unit-${last}` });
        await page.waitForSelector(`#sheet[data-unit="${last}"]`);
        check((await page.textContent('#sheet h2')).endsWith(`:${last}`), 'the deep link opens its unit');
        check(await page.locator('#sheet').isVisible() && (await page.$$('#sheet table.indices tbody tr')).length > 0, 'the sheet has indices');
        const pictures = page.locator('#sheet .exemplars img');
        check((await pictures.count()) > 1, 'exemplars');
        await pictures.first().scrollIntoViewIfNeeded();
        await page.waitForFunction(() => [...document.querySelectorAll('#sheet .exemplars img')].some((i) => i.complete && i.naturalWidth > 0));
        check(await pictures.first().getAttribute('alt'), 'pictures have a text');
        await drawn(page, file);

        await page.locator('#units-table th button[data-key="unit"]').click();
        let order = await column(page, '#units-table', 0);
        check(rising([...order].reverse()), 'units sorted, falling');
        await page.locator('#units-table th button[data-key="unit"]').click();
        order = await column(page, '#units-table', 0);
        check(rising(order) && order[0] === 0, 'units sorted, rising');
        if (order.length > 2) {
            await page.locator('#units-table tbody tr').nth(1).click({ position: { x: 3, y: 3 } });
            await page.waitForSelector(`#sheet[data-unit="${order[1]}"]`);
            check(page.url().endsWith(`#unit-${order[1]}`), 'a click on a row is in the address');
            await page.locator('h1').click();
            await page.keyboard.press('j');
            await page.waitForSelector(`#sheet[data-unit="${order[2]}"]`);
            check(page.url().endsWith(`#unit-${order[2]}`), 'j goes to the next unit');
            await page.keyboard.press('k');
            await page.waitForSelector(`#sheet[data-unit="${order[1]}"]`);
            checks++;
        }
        await page.fill('#units-filter', String(last));
        check((await page.$$('#units-table tbody tr')).length === 1, 'a number finds its unit');
        await page.fill('#units-filter', 'unit < 3');
        check((await page.$$('#units-table tbody tr')).length === Math.min(3, site.units), 'a comparison filters');
        await page.fill('#units-filter', '');
        await page.evaluate((n) => { location.hash = `#unit-${n}`; }, site.units);
        await page.waitForFunction(() => document.querySelector('#sheet').textContent.includes('there is no unit'));
        checks++;
        await close();
    }
}

try {
    for (const folder of reports) {
        const sites = await testIndex(folder);
        const widest = sites.reduce((a, b) => (b.units > a.units ? b : a));
        for (const site of new Set([sites[0], widest]))
            await testSite(folder, site);
        for (const site of sites.slice(-3)) { /* others open */
            const { close } = await open(path.join(folder, site.file), { width: 900 });
            await close();
        }
    }
    for (const name of ['index.html', 'site/005-y.html']) {
        const { page, close } = await open(path.join(plain, name));
        check(await page.locator('#no-bundles').isVisible(), `${name}: says that charts need the bundles`);
        check((await page.$$('.plot.absent')).length > 0 && (await page.$$('table tbody tr')).length > 0, `${name}: tables without charts`);
        await close();
    }
    console.log(`${checks} checks of ${reports.length + 1} reports`);
} finally {
    await context.close();
    fs.rmSync(profile, { recursive: true, force: true });
}
