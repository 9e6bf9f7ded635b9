// For test_web.py: what the editors make of texts, as JSON.
import { parseBox } from '../../web/box_logic.js'
import { parseCurve, parseLayers, valueAt } from '../../web/weightmap_logic.js'

const { layers, curves, boxes, times } = JSON.parse(process.argv[2])
const answers = {
  layers: layers.map(([text, count]) => {
    const { values, error } = parseLayers(text, count)
    return error ? null : values
  }),
  curves: curves.map((text) => {
    const { keys, error } = parseCurve(text)
    return error ? null : times.map((time) => valueAt(keys, time))
  }),
  boxes: boxes.map((text) => parseBox(text)?.box ?? null),
}
console.log(JSON.stringify(answers))
