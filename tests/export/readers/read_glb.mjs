// SPDX-License-Identifier: Apache-2.0
// Read a GLB with Khronos' validator and three.js' GLTFLoader, and print what they found as one line of JSON.
//     node read_glb.mjs FILE.glb
import fs from "node:fs";
import { createRequire } from "node:module";

const validator = createRequire(import.meta.url)("gltf-validator");
const bytes = new Uint8Array(fs.readFileSync(process.argv[2]));
const report = await validator.validateBytes(bytes, { maxIssues: 20 });

// Node decodes no images: the loader gets a stub, so geometry, morph targets and material are what is read.
globalThis.self = globalThis;
globalThis.createImageBitmap = async () => ({ width: 1, height: 1, close() {} });
const THREE = await import("three");
const { GLTFLoader } = await import("three/examples/jsm/loaders/GLTFLoader.js");
const gltf = await new GLTFLoader().parseAsync(bytes.buffer.slice(0, bytes.byteLength), "");

const meshes = [];
gltf.scene.traverse((object) => {
  if (!object.isMesh) return;
  const { position } = object.geometry.attributes;
  const box = new THREE.Box3().setFromBufferAttribute(position);
  meshes.push({
    vertices: position.count,
    triangles: object.geometry.index.count / 3,
    morph_names: Object.keys(object.morphTargetDictionary),
    morph_weights: Array.from(object.morphTargetInfluences),
    size_m: box.getSize(new THREE.Vector3()).toArray(),
    texture_colour_space: object.material.map?.colorSpace ?? null,
  });
});
const animations = gltf.animations.map(({ duration, tracks }) => ({ seconds: duration, tracks: tracks.map((t) => t.name) }));
console.log(JSON.stringify({ issues: report.issues, meshes, animations }));
