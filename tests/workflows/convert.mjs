// Opens every saved graph in the host's own frontend and prints what became of it, one JSON line each.
//   node convert.mjs BASE_ADDRESS FOLDER_WITH_playwright-core FOLDER_OF_GRAPHS
import fs from 'node:fs'
import { createRequire } from 'node:module'
import path from 'node:path'

const [base, modules, folder] = process.argv.slice(2)
const { chromium } = createRequire(path.join(modules, 'here.js'))('playwright-core')
const flags = ['--no-sandbox', '--disable-dev-shm-usage', '--disable-gpu', '--use-gl=angle']
flags.push('--use-angle=swiftshader', '--enable-unsafe-swiftshader')
// what the console says without this pack too; the graph that is there at first names a model from elsewhere
const usual = /Failed to load resource|graph accessed before initialization|z_image_turbo/
const executablePath = process.env.CHROMIUM
const browser = await chromium.launch({ executablePath, headless: true, args: flags })
try {
  const context = await browser.newContext({ viewport: { width: 1600, height: 1000 } })
  const page = await context.newPage()
  const errors = []
  page.on('console', (message) => {
    if (message.type() === 'error' && !usual.test(message.text())) errors.push(message.text())
  })
  page.on('pageerror', (error) => errors.push(`${error.message}`))
  const local = (address) => ['127.0.0.1', 'localhost'].includes(address.hostname)
  const outside = (address) => address.protocol.startsWith('http') && !local(address)
  await page.route(outside, (route) => route.abort())
  await context.request.post(`${base}/api/settings/Comfy.TutorialCompleted`, { data: 'true' })
  await page.goto(base, { waitUntil: 'domcontentloaded' })
  const ready = () =>
    window.app?.vueAppReady && window.app.graph && window.app.extensionManager &&
    !document.querySelector('.p-blockui-mask')
  await page.waitForFunction(ready, null, { timeout: 90000 })
  const searched = await page.evaluate(() => {
    const nodes = Object.values(window.LiteGraph.registered_node_types)
    return nodes.map((one) => one.nodeData).filter(Boolean)
      .filter((one) => one.category?.startsWith('ipadapter'))
      .map(({ name, category, deprecated }) => ({ name, category, deprecated: !!deprecated }))
  })
  console.log(JSON.stringify({ nodes: searched, errors: errors.splice(0) }))
  for (const file of fs.readdirSync(folder).filter((name) => name.endsWith('.json')).sort()) {
    const saved = JSON.parse(fs.readFileSync(path.join(folder, file), 'utf8'))
    const found = await page.evaluate(async (graph) => {
      await window.app.loadGraphData(graph, true, true, null, {})
      const all = (graph) => graph.nodes.flatMap((one) => [one, ...all(one.subgraph ?? { nodes: [] })])
      const nodes = all(window.app.graph)
      const registered = window.LiteGraph.registered_node_types
      const missing = nodes.filter((one) => !registered[one.type] && !one.subgraph && !one.isVirtualNode)
      const { output } = await window.app.graphToPrompt()
      return { missing: missing.map((one) => one.type), count: nodes.length, prompt: output }
    }, saved)
    console.log(JSON.stringify({ name: path.parse(file).name, ...found, errors: errors.splice(0) }))
    if (process.env.SCREENSHOTS) {
      await page.screenshot({ path: path.join(process.env.SCREENSHOTS, `${path.parse(file).name}.png`) })
    }
  }
} finally {
  await browser.close()
}
