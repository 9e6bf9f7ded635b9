"""The host's page in a headless Chromium, for the tests of what the pack does there."""

import json
import os
import urllib.request

import browser
from playwright.sync_api import expect

BUSY_MACHINE = 90_000  # ms that the page may take over what usually takes it 10
KNOWN = (  # the host's own, on every start of a fresh installation
    "ComfyApp graph accessed before initialization",
    "huggingface.co",  # graphs say where models come from, and the page may not go out
    "Error fetching file size",
    "net::ERR_FAILED",
    "[Jobs API] Error fetching jobs",  # 0.16.3's page wants a picture of every run in the history
    "the server responded with a status of 404",  # user.css and the like; ours are in `refused`
)
READY = """() => window.app?.vueAppReady && window.app.graph && window.app.extensionManager
  && !document.querySelector('.p-blockui-mask')"""
TRACKER = "app.extensionManager.workflow.activeWorkflow.changeTracker"
IS_RESTORED = """() => {
  const workflow = app.extensionManager.workflow.activeWorkflow
  return !workflow?.changeTracker?._restoringState
}"""

# Nodes as Nodes 2.0 draws them, or as the classic renderer keeps them, with their titles.
OVERLAPS = """() => {
  const boxes = app.graph._nodes.map((node) => {
    const drawn = document.querySelector(`[data-node-id="${node.id}"]`)
    const [x, y, width, height] = node.getBounding()
    const box = drawn?.getBoundingClientRect()
      ?? { left: x, top: y, right: x + width, bottom: y + height }
    return { name: node.title, left: box.left, top: box.top, right: box.right, bottom: box.bottom }
  })
  const apart = (a, b) => a.right <= b.left || b.right <= a.left || a.bottom <= b.top
    || b.bottom <= a.top
  return boxes.flatMap((box, place) => boxes.slice(place + 1)
    .filter((other) => !apart(box, other)).map((other) => `${box.name}, ${other.name}`))
}"""
ALL_DRAWN = """() => !LiteGraph.vueNodesMode || app.graph._nodes.every(({ id }) =>
  document.querySelector(`[data-node-id="${id}"]`)?.clientHeight > 0)"""


def set_up(server, **settings):
    """Settings live on the server, and are read when the page starts."""
    for name, value in {"TutorialCompleted": True, **settings}.items():
        address = f"{server.base}/api/settings/Comfy.{name.replace('_', '.')}"
        request = urllib.request.Request(address, json.dumps(value).encode(), method="POST")
        request.add_header("Content-Type", "application/json")
        urllib.request.urlopen(request, timeout=60).close()


def launch(playwright):
    """Raises RuntimeError where there is no Chromium and none can be had."""
    path, environment = browser.find()
    flags = {"executable_path": path, "args": browser.FLAGS, "env": {**os.environ, **environment}}
    return playwright.chromium.launch(**flags)


class Page:
    """One open page; `errors` holds what it complained of, `refused` what of ours the server did
    not have.
    """

    def __init__(self, chromium, server, address=None, **settings):
        set_up(server, **settings)
        self.base, self.errors, self.refused = server.base, [], []
        self.page = chromium.new_page(viewport={"width": 1600, "height": 1000})
        self.page.set_default_timeout(BUSY_MACHINE)
        expect.set_options(timeout=BUSY_MACHINE)
        self.page.on("console", self._said)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("response", self._answered)
        self.page.route(lambda url: not url.startswith(server.base), lambda route: route.abort())
        self.page.goto(address or server.base, wait_until="domcontentloaded")
        self.page.wait_for_function(READY, timeout=120_000)

    def _said(self, message):
        if message.type == "error" and not any(installed in message.text for installed in KNOWN):
            self.errors.append(message.text)

    def _answered(self, reply):
        if reply.status >= 400 and "ip-adapter" in reply.url:
            self.refused.append(reply.url)

    def run(self, script, *arguments):
        return self.page.evaluate(script, *arguments)

    def settle(self):
        """Two frames: the page has drawn what was done; and the end of an undo, during which
        the page would take a further one back to the wrong state.
        """
        self.run("() => new Promise(ok => requestAnimationFrame(() => requestAnimationFrame(ok)))")
        self.page.wait_for_function(IS_RESTORED)

    def overlaps(self):
        """The titles of each two nodes of the graph that overlap, once all are drawn."""
        self.page.wait_for_function(ALL_DRAWN)
        self.settle()
        return self.run(OVERLAPS)

    def add(self, *kinds):
        """Nodes side by side on an empty graph, each as `window.n0`, `window.n1` and so on."""
        self.run(
            """(kinds) => {
              const last = app.graph.last_node_id
              app.graph.clear()
              app.graph.last_node_id = last // the page keeps widget values by node id
              app.canvas.ds.scale = 1
              app.canvas.ds.offset = [0, 0]
              kinds.forEach((kind, number) => {
                const node = LiteGraph.createNode(kind)
                node.pos = [120 + 480 * number, 90]
                app.graph.add(node)
                window[`n${number}`] = node
              })
              app.canvas.setDirty(true, true)
            }""",
            list(kinds),
        )
        self.settle()

    def connect(self, source, slot, target, name):
        self.run(
            f"() => n{source}.connect({slot}, n{target}, n{target}.inputs.findIndex(i => "
            f"i.name === '{name}'))"
        )

    def value(self, name, number=0):
        return self.run(f"() => n{number}.widgets.find(w => w.name === '{name}').value")

    def values(self, *names, number=0):
        return [self.value(name, number) for name in names]

    def record(self):
        """The page takes the graph as it is as the state before the next change."""
        event = "new MouseEvent('mouseup', { bubbles: true })"
        self.run(f"() => app.canvas.canvas.dispatchEvent({event})")

    def wait_for_value(self, name, value, number=0):
        """Until a widget of a node has the value, and the page has recorded it as a step."""
        self.page.wait_for_function(
            f"""([name, value, number]) => {{
              const node = app.graph._nodes[number]
              const index = node.widgets.findIndex((widget) => widget.name === name)
              const recorded = {TRACKER}.activeState.nodes[number].widgets_values[index]
              return node.widgets[index].value === value && recorded === value
            }}""",
            arg=[name, value, number],
        )

    def drag(self, element, *places):
        """Along places in an element, each from 0 to 1."""
        box = element.bounding_box()
        points = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in places]
        self.page.mouse.move(*points[0])
        self.page.mouse.down()
        for point in points[1:]:
            self.page.mouse.move(*point)
        self.page.mouse.up()
        self.settle()

    def press(self, *keys):
        for key in keys:
            self.page.keyboard.press(key)
            self.settle()

    def queue(self):
        """Run the graph to its end."""
        return self.run(
            """() => new Promise(async (done) => {
              const { api } = window.comfyAPI.api
              const end = (event) => done([event.type, event.detail?.exception_message])
              for (const kind of ['execution_success', 'execution_error']) {
                api.addEventListener(kind, end, { once: true })
              }
              await app.queuePrompt(0, 1)
              const wrong = app.lastNodeErrors ?? {}
              if (Object.keys(wrong).length) done(['refused', JSON.stringify(wrong)])
            })"""
        )
