"use strict";
// Solids that can be turned. Each canvas[data-solid] shows one; those in one .together turn as one.
// One WebGL context draws for all canvases, since browsers allow only a few; without WebGL
// triangles are painted on the canvas, far ones first. Frame: z up, front towards -y.
(function () {
  const START = { azimuth: -35, elevation: 25, zoom: 1 };
  const STEP = 10, DISTANCE = 3, LENS = 5;
  const SOLIDS = JSON.parse(document.getElementById("solids").textContent);
  const radians = (degrees) => (degrees * Math.PI) / 180;
  const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

  function bytes(text) {
    const raw = atob(text), out = new Uint8Array(raw.length);
    for (let i = 0; i < raw.length; i++) out[i] = raw.charCodeAt(i);
    return out;
  }

  // Places, colours and normals of what is drawn: three corners a face, or one corner a point.
  function unpack(solid) {
    if (solid.corners) return solid.corners;
    const at = new Uint16Array(bytes(solid.at).buffer), raw = bytes(solid.faces).buffer;
    const index = solid.wide ? new Uint32Array(raw) : new Uint16Array(raw);
    const rgb = bytes(solid.rgb), one = rgb.length === 3, points = index.length === 0;
    const count = points ? at.length / 3 : index.length;
    const place = new Float32Array(3 * count), normal = new Float32Array(3 * count);
    const colour = new Uint8Array(3 * count);
    for (let i = 0; i < count; i++) {
      const from = 3 * (points ? i : index[i]), owner = one ? 0 : 3 * (points ? i : Math.floor(i / 3));
      for (let k = 0; k < 3; k++) {
        place[3 * i + k] = solid.low[k] + at[from + k] * solid.step;
        colour[3 * i + k] = rgb[owner + k];
      }
    }
    for (let i = 0; !points && i < 3 * count; i += 9) {
      const p = place, u = [0, 1, 2].map((k) => p[i + 3 + k] - p[i + k]);
      const v = [0, 1, 2].map((k) => p[i + 6 + k] - p[i + k]);
      const n = [u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]];
      const length = Math.hypot(n[0], n[1], n[2]) || 1;
      for (let k = 0; k < 9; k++) normal[i + k] = n[k % 3] / length;
    }
    solid.corners = { place, normal, colour, count, points };
    return solid.corners;
  }

  // Rows: right, up and towards the camera, in the frame of the solids.
  function camera(pose) {
    const a = radians(pose.azimuth), e = radians(pose.elevation);
    const [ca, sa, ce, se] = [Math.cos(a), Math.sin(a), Math.cos(e), Math.sin(e)];
    return [[ca, sa, 0], [-se * sa, se * ca, ce], [ce * sa, -ce * ca, se]];
  }

  const VERTEX = `attribute vec3 place, normal, colour;
    uniform mat3 turn; uniform vec2 scale; uniform float size; uniform float dots;
    varying vec3 shade;
    void main() {
      vec3 seen = turn * place;
      float away = ${DISTANCE.toFixed(1)} - seen.z;
      gl_Position = vec4(seen.xy * scale * ${LENS.toFixed(1)}, (away - 3.0) * away / 2.0, away);
      gl_PointSize = max(1.5, size / away);
      vec3 n = turn * normal;
      n = n.z < 0.0 ? -n : n;
      float lit = dots > 0.5 ? 1.15 - 0.35 * (away - 2.5)
        : 0.4 + 0.58 * max(0.0, dot(n, vec3(-0.36, 0.48, 0.8)));
      shade = min(colour * lit, 1.0);
    }`;
  const FRAGMENT = `precision mediump float; varying vec3 shade;
    void main() { gl_FragColor = vec4(shade, 1.0); }`;

  function startGl() {
    const canvas = document.createElement("canvas");
    const gl = canvas.getContext("webgl", { antialias: true, premultipliedAlpha: true });
    if (!gl) return null;
    const program = gl.createProgram();
    for (const [kind, text] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, text);
      gl.compileShader(shader);
      gl.attachShader(program, shader);
    }
    gl.linkProgram(program);
    if (!gl.getProgramParameter(program, gl.LINK_STATUS)) return null;
    gl.useProgram(program);
    gl.enable(gl.DEPTH_TEST);
    const found = { canvas, gl, program, buffers: new Map(), lost: false };
    canvas.addEventListener("webglcontextlost", () => { found.lost = true; drawAll(); });
    return found;
  }

  function buffersOf(engine, solid) {
    const there = engine.buffers.get(solid);
    if (there) return there;
    const { gl } = engine, corners = unpack(solid);
    const made = ["place", "normal", "colour"].map((name) => {
      const buffer = gl.createBuffer();
      gl.bindBuffer(gl.ARRAY_BUFFER, buffer);
      gl.bufferData(gl.ARRAY_BUFFER, corners[name], gl.STATIC_DRAW);
      return buffer;
    });
    engine.buffers.set(solid, made);
    return made;
  }

  function drawGl(engine, canvas, solid, pose) {
    const { gl, program } = engine, corners = unpack(solid), buffers = buffersOf(engine, solid);
    const [wide, tall] = [canvas.width, canvas.height];
    if (engine.canvas.width !== wide || engine.canvas.height !== tall) {
      engine.canvas.width = wide;
      engine.canvas.height = tall;
    }
    gl.viewport(0, 0, wide, tall);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    ["place", "normal", "colour"].forEach((name, n) => {
      const where = gl.getAttribLocation(program, name);
      if (where < 0) return;
      gl.bindBuffer(gl.ARRAY_BUFFER, buffers[n]);
      gl.enableVertexAttribArray(where);
      gl.vertexAttribPointer(where, 3, n === 2 ? gl.UNSIGNED_BYTE : gl.FLOAT, n === 2, 0, 0);
    });
    const [r, u, f] = camera(pose), least = Math.min(wide, tall) * pose.zoom;
    const at = (name) => gl.getUniformLocation(program, name);
    gl.uniformMatrix3fv(at("turn"), false, [r[0], u[0], f[0], r[1], u[1], f[1], r[2], u[2], f[2]]);
    gl.uniform2f(at("scale"), least / wide, least / tall);
    gl.uniform1f(at("size"), (least * LENS) / 150);
    gl.uniform1f(at("dots"), corners.points ? 1 : 0);
    gl.drawArrays(corners.points ? gl.POINTS : gl.TRIANGLES, 0, corners.count);
    canvas.getContext("2d").drawImage(engine.canvas, 0, 0);
  }

  function paint(canvas, solid, pose) {
    const pen = canvas.getContext("2d"), { place, normal, colour, count, points } = unpack(solid);
    const [right, up, to] = camera(pose);
    const least = (Math.min(canvas.width, canvas.height) * pose.zoom * LENS) / 2;
    const dot = (row, a, i) => row[0] * a[i] + row[1] * a[i + 1] + row[2] * a[i + 2];
    const seen = new Float32Array(3 * count);
    for (let i = 0; i < 3 * count; i += 3) {
      const away = DISTANCE - dot(to, place, i);
      seen[i] = canvas.width / 2 + (dot(right, place, i) / away) * least;
      seen[i + 1] = canvas.height / 2 - (dot(up, place, i) / away) * least;
      seen[i + 2] = away;
    }
    const corners = points ? 1 : 3, shapes = count / corners, depth = new Float32Array(shapes);
    for (let s = 0; s < shapes; s++)
      for (let c = 0; c < corners; c++) depth[s] += seen[3 * (s * corners + c) + 2] / corners;
    const order = Uint32Array.from(depth, (_, s) => s).sort((a, b) => depth[b] - depth[a]);
    for (const s of order) {
      const i = 3 * s * corners;
      let lit = 1.15 - 0.35 * (depth[s] - 2.5);
      if (!points) {
        const n = [dot(right, normal, i), dot(up, normal, i), dot(to, normal, i)];
        const side = n[2] < 0 ? -1 : 1;
        lit = 0.4 + 0.58 * Math.max(0, side * (-0.36 * n[0] + 0.48 * n[1] + 0.8 * n[2]));
      }
      const shade = [0, 1, 2].map((k) => Math.min(255, Math.round(colour[i + k] * lit)));
      pen.fillStyle = pen.strokeStyle = `rgb(${shade.join(",")})`;
      if (points) {
        pen.fillRect(seen[i] - 1, seen[i + 1] - 1, 2, 2);
        continue;
      }
      pen.beginPath();
      pen.moveTo(seen[i], seen[i + 1]);
      pen.lineTo(seen[i + 3], seen[i + 4]);
      pen.lineTo(seen[i + 6], seen[i + 7]);
      pen.closePath();
      pen.fill();
      pen.stroke(); // else the background shines through between the triangles
    }
  }

  let engine;
  try { engine = startGl(); } catch (error) { engine = null; }
  document.documentElement.dataset.renderer = engine ? "webgl" : "canvas";

  const stages = [];
  function draw(stage) {
    const { canvas, solid, pose } = stage;
    const ratio = Math.min(window.devicePixelRatio || 1, 2), box = canvas.getBoundingClientRect();
    const [wide, tall] = [Math.round(box.width * ratio), Math.round(box.height * ratio)];
    if (!wide || !tall) return;
    if (canvas.width !== wide || canvas.height !== tall) {
      canvas.width = wide;
      canvas.height = tall;
    }
    canvas.getContext("2d").clearRect(0, 0, wide, tall);
    if (engine && !engine.lost) drawGl(engine, canvas, solid, pose);
    else paint(canvas, solid, pose);
    canvas.dataset.drawn = `${pose.azimuth.toFixed(0)},${pose.elevation.toFixed(0)}`;
  }

  const visible = new Set();
  let asked = false;
  function redraw() {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => {
      asked = false;
      for (const stage of stages) if (stage.stale && visible.has(stage.canvas)) {
        stage.stale = false;
        draw(stage);
      }
    });
  }
  function drawAll() { for (const stage of stages) { stage.stale = false; draw(stage); } }
  function turned(pose) {
    for (const stage of stages) if (stage.pose === pose) stage.stale = true;
    redraw();
  }

  function keys(event, pose) {
    const moves = {
      ArrowLeft: () => (pose.azimuth -= STEP), ArrowRight: () => (pose.azimuth += STEP),
      ArrowUp: () => (pose.elevation = clamp(pose.elevation + STEP, -90, 90)),
      ArrowDown: () => (pose.elevation = clamp(pose.elevation - STEP, -90, 90)),
      "+": () => (pose.zoom = clamp(pose.zoom * 1.15, 0.4, 6)),
      "=": () => (pose.zoom = clamp(pose.zoom * 1.15, 0.4, 6)),
      "-": () => (pose.zoom = clamp(pose.zoom / 1.15, 0.4, 6)),
      0: () => Object.assign(pose, START), Home: () => Object.assign(pose, START),
    };
    if (!moves[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    moves[event.key]();
    turned(pose);
  }

  function listen(canvas, pose) {
    let last = null;
    canvas.addEventListener("pointerdown", (event) => {
      last = [event.clientX, event.clientY];
      canvas.setPointerCapture(event.pointerId);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!last) return;
      pose.azimuth -= (event.clientX - last[0]) * 0.6;
      pose.elevation = clamp(pose.elevation + (event.clientY - last[1]) * 0.6, -90, 90);
      last = [event.clientX, event.clientY];
      turned(pose);
    });
    for (const name of ["pointerup", "pointercancel"])
      canvas.addEventListener(name, () => { last = null; });
    canvas.addEventListener("keydown", (event) => keys(event, pose));
    canvas.addEventListener("wheel", (event) => {
      if (document.activeElement !== canvas) return; // the page scrolls on, unless it is chosen
      event.preventDefault();
      pose.zoom = clamp(pose.zoom * Math.exp(-event.deltaY / 500), 0.4, 6);
      turned(pose);
    }, { passive: false });
    canvas.addEventListener("dblclick", () => { Object.assign(pose, START); turned(pose); });
  }

  const watcher = new IntersectionObserver((entries) => {
    for (const entry of entries)
      if (entry.isIntersecting) visible.add(entry.target); else visible.delete(entry.target);
    redraw();
  }, { rootMargin: "300px" });
  const poses = new Map();
  for (const canvas of document.querySelectorAll("canvas[data-solid]")) {
    const group = canvas.closest(".together") || canvas;
    if (!poses.has(group)) poses.set(group, { ...START });
    const stage = {
      canvas, solid: SOLIDS[Number(canvas.dataset.solid)], pose: poses.get(group), stale: true,
    };
    stages.push(stage);
    listen(canvas, stage.pose);
    watcher.observe(canvas);
  }
  const remember = () => { for (const stage of stages) stage.stale = true; redraw(); };
  window.addEventListener("resize", remember);
  window.addEventListener("beforeprint", () => {
    for (const details of document.querySelectorAll("details")) details.open = true;
    drawAll();
  });
  document.documentElement.dataset.ready = "true";
})();
