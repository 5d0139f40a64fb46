/** The page's program. It puts nothing but text into the page: names of files may hold anything. */
export const script = String.raw`
'use strict'
{
  const all = (selector) => [...document.querySelectorAll(selector)]
  const byId = (id) => document.getElementById(id)
  const { files, layers } = JSON.parse(byId('data').textContent)
  document.documentElement.classList.add('script')

  // A stage, or a build, is chosen by a link or by the address.
  const choose = (kind, name) => {
    for (const panel of all('[data-' + kind + '-panel], [data-panel]')) {
      const own = kind === 'stage' ? panel.dataset.panel : panel.dataset.buildPanel
      if (own !== undefined) panel.classList.toggle('open', own === name)
    }
    for (const link of all('a[data-' + kind + ']')) link.classList.toggle('chosen', link.dataset[kind] === name)
    if (kind === 'stage')
      for (const edge of all('.edge'))
        edge.classList.toggle('near', edge.dataset.from === name || edge.dataset.to === name)
  }
  const panelOf = (kind, name) => byId((kind === 'stage' ? 'stage-' : 'build-') + name)
  for (const kind of ['stage', 'build']) {
    for (const link of all('a[data-' + kind + ']')) {
      link.addEventListener('click', (event) => {
        event.preventDefault()
        const name = link.dataset[kind]
        choose(kind, name)
        history.replaceState(null, '', link.getAttribute('href'))
        panelOf(kind, name).focus({ preventScroll: true })
        panelOf(kind, name).scrollIntoView({ block: 'nearest' })
      })
    }
  }
  choose('build', '0')
  const [, kind, name] = /^#(stage|build)-(.+)$/.exec(decodeURIComponent(location.hash)) || []
  if (kind && panelOf(kind, name)) choose(kind, name)

  // The search: rows are made for what is seen only.
  const list = byId('list')
  if (list) {
    const rowHeight = 30
    const body = list.querySelector('tbody')
    const search = byId('search')
    const [kindBox, layerBox, typeBox] = ['kind', 'layer', 'type'].map(byId)
    const texts = files.map((file) => file[0].toLowerCase())
    let shown = []
    let order = { column: 0, down: false }
    const units = ['B', 'KiB', 'MiB', 'GiB']
    const bytes = (value) => {
      let unit = 0
      while (value >= 1024 && unit < 3) { value /= 1024; unit++ }
      return (unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)) + ' ' + units[unit]
    }
    const filter = () => {
      const words = search.value.toLowerCase().split(/\s+/).filter(Boolean)
      shown = []
      files.forEach((file, index) => {
        if (kindBox.value && file[1] !== kindBox.value) return
        if (layerBox.value && String(file[2]) !== layerBox.value) return
        if (typeBox.value && file[3] !== typeBox.value) return
        const text = texts[index]
        if (words.every((word) => text.includes(word) || file[7] === word || file[6] === word)) shown.push(index)
      })
      const { column, down } = order
      const value = (file) => column === 2 ? layers[file[2]] : column === 4 ? file[4] || file[5] : file[column]
      if (column !== 0 || down) shown.sort((a, b) => {
        const [x, y] = [value(files[a]), value(files[b])]
        const way = x < y ? -1 : x > y ? 1 : a - b
        return down ? -way : way
      })
      const size = shown.reduce((sum, index) => sum + files[index][4], 0)
      byId('found').textContent = shown.length.toLocaleString('en-US') + ' of ' +
        files.length.toLocaleString('en-US') + ' files, ' + bytes(size)
      list.querySelector('table').setAttribute('aria-rowcount', String(shown.length + 1))
      list.scrollTop = 0
      draw()
    }
    const cell = (tag, name, text) => {
      const made = document.createElement(tag)
      made.className = name
      made.textContent = text
      made.title = text
      return made
    }
    const gap = (count) => {
      const row = document.createElement('tr')
      row.className = 'gap'
      row.setAttribute('aria-hidden', 'true')
      const inside = document.createElement('td')
      inside.colSpan = 7
      inside.style.height = count * rowHeight + 'px'
      row.append(inside)
      return row
    }
    const draw = () => {
      const first = Math.max(0, Math.floor(list.scrollTop / rowHeight) - 10)
      const last = Math.min(shown.length, first + Math.ceil(list.clientHeight / rowHeight) + 20)
      const rows = shown.slice(first, last).map((index, place) => {
        const [path, kind, layer, type, size, before, mode, owner, note] = files[index]
        const row = document.createElement('tr')
        row.setAttribute('aria-rowindex', String(first + place + 2))
        const head = cell('th', 'path', path)
        head.scope = 'row'
        const amount = type !== 'file' ? type : kind === 'removed' ? bytes(before) : bytes(size)
        const sizes = cell('td', 'size number', amount)
        if (kind === 'changed' && type === 'file') sizes.title = 'before ' + bytes(before) + ', now ' + bytes(size)
        row.append(cell('td', 'kind ' + kind, kind), head, cell('td', 'layer', layers[layer]), sizes,
          cell('td', 'mode', mode), cell('td', 'owner', owner), cell('td', 'note', note))
        return row
      })
      body.replaceChildren(gap(first), ...rows, gap(shown.length - last))
    }
    let waiting = false
    list.addEventListener('scroll', () => {
      if (waiting) return
      waiting = true
      requestAnimationFrame(() => { waiting = false; draw() })
    })
    addEventListener('resize', draw)
    search.addEventListener('input', filter)
    for (const box of [kindBox, layerBox, typeBox]) box.addEventListener('change', filter)
    for (const button of list.querySelectorAll('thead button')) {
      button.addEventListener('click', () => {
        const column = Number(button.dataset.column)
        order = { column, down: order.column === column && !order.down }
        for (const head of list.querySelectorAll('thead th')) head.removeAttribute('aria-sort')
        button.parentElement.setAttribute('aria-sort', order.down ? 'descending' : 'ascending')
        filter()
      })
    }
    addEventListener('keydown', (event) => {
      if (event.key !== '/' || event.ctrlKey || event.metaKey || /INPUT|SELECT/.test(event.target.tagName)) return
      event.preventDefault()
      search.focus()
    })
    for (const link of all('a[data-layer]')) {
      link.addEventListener('click', () => { layerBox.value = link.dataset.layer; filter() })
    }
    filter()
  }
}
`
