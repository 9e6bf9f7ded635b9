// Elements, and the bar that follows a download. Does nothing when the page imports it by itself.

import { isRunning, shareOf, stateText } from './doctor_logic.js'
import { say } from './words.js'

const EVERY = 500 // milliseconds between two questions

/**
 * @param {string} tag @param {Record<string, any>} properties @param {...any} children
 * @returns {any} children that are text stay text: nothing of a file's name becomes markup
 */
export function make(tag, properties, ...children) {
  const element = Object.assign(document.createElement(tag), properties)
  element.append(...children)
  return element
}

/**
 * A bar with the state of the download; hidden while there is none.
 * @param {{ read: () => Promise<any>, cancel: () => Promise<any>, finished: (text: string) => void }} actions
 */
export function followDownload({ read, cancel, finished }) {
  const bar = make('progress', { max: 1, value: 0 })
  const text = make('div', { role: 'status' })
  const stop = make('button', { type: 'button' }, say('Cancel'))
  const element = make('div', { className: 'download', hidden: true }, text, bar, stop)

  /** @param {any} state */
  function show(state) {
    element.hidden = false
    bar.hidden = stop.hidden = !isRunning(state)
    bar.value = shareOf(state)
    text.textContent = stateText(state)
  }

  /** @param {any} state */
  function start(state) {
    stop.disabled = false
    stop.textContent = say('Cancel')
    show(state)
    setTimeout(ask, EVERY)
  }

  async function ask() {
    if (!element.isConnected) return
    const state = await read().catch(() => null) // the server may be busy: ask again
    if (state) show(state)
    if (!state || isRunning(state)) setTimeout(ask, EVERY)
    else if (state.status === 'done') finished(stateText(state))
  }

  stop.onclick = () => {
    stop.disabled = true
    stop.textContent = say('Cancelling ...') // ends with the next block of the download
    void cancel()
  }
  return {
    element,
    start,
    /** @param {string} message */
    note(message) {
      element.hidden = false
      bar.hidden = stop.hidden = true
      text.textContent = message
    },
  }
}
