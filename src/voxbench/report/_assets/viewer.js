"use strict";
(async () => {
  const byId = (id) => document.getElementById(id);
  const status = byId("viewer-status");
  const canvas = byId("viewer-canvas");
  const scenes = JSON.parse(byId("viewer-scenes").textContent);
  const unpacked = async (text) => {
    const raw = atob(text);
    const bytes = Uint8Array.from(raw, (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).arrayBuffer();
  };
  const table = (layer) => ({
    R: layer.colours.map((c) => c[0]),
    G: layer.colours.map((c) => c[1]),
    B: layer.colours.map((c) => c[2]),
    A: layer.colours.map((_, n) => (n ? 255 : 0)),
    I: layer.colours.map((_, n) => n),
    labels: layer.names,
  });
  let viewer;
  try {
    viewer = new niivue.Niivue({
      backColor: [0.063, 0.071, 0.078, 1],
      show3Dcrosshair: false,
      isRadiologicalConvention: true,
      sagittalNoseLeft: true,
      dragAndDropEnabled: false,
      multiplanarShowRender: niivue.SHOW_RENDER.ALWAYS,
      crosshairColor: [0.9, 0.9, 0.9, 0.6],
      crosshairWidth: 0.6,
      logLevel: "silent",
      loadingText: "",
    });
    await viewer.attachToCanvas(canvas);
  } catch (error) {
    status.textContent = "This browser has no WebGL 2; the pictures below show the cases without it.";
    byId("viewer-canvas").parentElement.hidden = true;
    return;
  }
  const opacity = { image: 1, labels: 0.55, mesh: 1 };
  let loaded = [];
  const view = () => {
    const types = niivue.SLICE_TYPE;
    const wanted = { all: types.MULTIPLANAR, render: types.RENDER, axial: types.AXIAL, coronal: types.CORONAL, sagittal: types.SAGITTAL };
    const flat = viewer.volumes.length > 0;
    viewer.setSliceType(flat ? wanted[byId("viewer-view").value] : types.RENDER);
    byId("viewer-view").disabled = !flat;
  };
  const switched = (entry, on) => {
    if (entry.mesh) {
      entry.mesh.visible = on;
      viewer.drawScene();
    } else {
      viewer.setOpacity(viewer.volumes.indexOf(entry.volume), on ? opacity[entry.layer.kind] : 0);
    }
  };
  const box = (entry) => {
    const label = document.createElement("label");
    const input = document.createElement("input");
    input.type = "checkbox";
    input.checked = entry.layer.shown;
    input.addEventListener("change", () => switched(entry, input.checked));
    label.append(input, " " + entry.layer.name);
    return label;
  };
  const show = async (number) => {
    const scene = scenes[number];
    status.textContent = "Loading " + scene.case + ".";
    for (const entry of loaded) {
      if (entry.mesh) viewer.removeMesh(entry.mesh);
      else viewer.removeVolume(entry.volume);
    }
    loaded = [];
    for (const layer of scene.layers) {
      const buffer = await unpacked(layer.content);
      const entry = { layer };
      if (layer.kind === "mesh") {
        entry.mesh = await niivue.NVMesh.readMesh(buffer, "surface.mz3", viewer.gl, 1, new Uint8Array([255, 255, 255, 255]));
        entry.mesh.visible = layer.shown;
        viewer.addMesh(entry.mesh);
      } else {
        entry.volume = await niivue.NVImage.new(buffer, "volume.nii", "gray", layer.shown ? opacity[layer.kind] : 0, null, layer.limits[0], layer.limits[1]);
        if (layer.kind === "labels") entry.volume.setColormapLabel(table(layer));
        viewer.addVolume(entry.volume);
      }
      loaded.push(entry);
    }
    const fieldset = byId("viewer-layers");
    fieldset.replaceChildren(fieldset.firstElementChild, ...loaded.map(box));
    view();
    viewer.updateGLVolume();
    status.textContent = scene.case + ": " + scene.note + ".";
    document.documentElement.dataset.viewer = "ready";
  };
  viewer.onLocationChange = (place) => {
    const mm = Array.from(place.mm).slice(0, 3).map((value) => value.toFixed(1)).join(", ");
    const names = loaded.filter((entry) => entry.volume && entry.layer.kind === "labels" && entry.volume.opacity > 0).map((entry) => {
      const value = place.values[viewer.volumes.indexOf(entry.volume)];
      const name = value ? entry.layer.names[Math.round(value.value)] : "";
      return name ? entry.layer.name + ": " + name : "";
    }).filter(Boolean);
    status.textContent = "RAS " + mm + " mm" + (names.length ? "; " + names.join("; ") : "");
  };
  canvas.addEventListener("keydown", (event) => {
    const turns = { ArrowLeft: [-5, 0], ArrowRight: [5, 0], ArrowUp: [0, 5], ArrowDown: [0, -5] };
    const steps = { PageUp: 1, PageDown: -1 };
    if (event.key in turns) {
      const [azimuth, elevation] = turns[event.key];
      viewer.setRenderAzimuthElevation(viewer.scene.renderAzimuth + azimuth, viewer.scene.renderElevation + elevation);
    } else if (event.key in steps && viewer.volumes.length) {
      viewer.moveCrosshairInVox(0, 0, steps[event.key]);
    } else {
      return;
    }
    event.preventDefault();
  });
  byId("viewer-case").addEventListener("change", (event) => show(Number(event.target.value)));
  byId("viewer-view").addEventListener("change", view);
  try {
    await show(0);
  } catch (error) {
    status.textContent = "The viewer could not start (" + error.message + "); the pictures below show the cases without it.";
    document.documentElement.dataset.viewer = "failed";
  }
})();
