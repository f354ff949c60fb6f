// SPDX-License-Identifier: Apache-2.0
// Read a GLB with Khronos' validator and three.js' GLTFLoader, and print what they found as one line of JSON.
//     node read_glb.mjs FILE.glb
import fs from "node:fs";
import { createRequire } from "node:module";

const validator = createRequire(import.meta.url)("gltf-validator");
const bytes = new Uint8Array(fs.readFileSync(process.argv[2]));
const report = await validator.validateBytes(bytes, { maxIssues: 20 });

// Node decodes no images: the loader gets a stub that reads the size from the PNG's header.
globalThis.self = globalThis;
globalThis.createImageBitmap = async (blob) => {
  const header = new DataView(await blob.arrayBuffer());
  return { width: header.getUint32(16), height: header.getUint32(20), close() {} };
};
const THREE = await import("three");
const { GLTFLoader } = await import("three/examples/jsm/loaders/GLTFLoader.js");
const gltf = await new GLTFLoader().parseAsync(bytes.buffer.slice(0, bytes.byteLength), "");

// How far a morph at weight 1 moves the vertex that it moves most, as three.js looks it up by name; null without it.
function largestMove(mesh, name) {
  const morph = mesh.geometry.morphAttributes.position[mesh.morphTargetDictionary[name]];
  if (!morph) return null;
  let largest = 0;
  for (let i = 0; i < morph.count; i++) largest = Math.max(largest, Math.hypot(morph.getX(i), morph.getY(i), morph.getZ(i)));
  return largest;
}

const meshes = [];
gltf.scene.traverse((object) => {
  if (!object.isMesh) return;
  const { position } = object.geometry.attributes;
  const box = new THREE.Box3().setFromBufferAttribute(position);
  meshes.push({
    vertices: position.count,
    triangles: object.geometry.index.count / 3,
    morph_names: Object.keys(object.morphTargetDictionary),
    morph_attributes: object.geometry.morphAttributes.position.length,
    jaw_open_m: largestMove(object, "jawOpen"),
    morph_weights: Array.from(object.morphTargetInfluences),
    size_m: box.getSize(new THREE.Vector3()).toArray(),
    front_m: box.max.z,
    texture_px: object.material.map ? [object.material.map.image.width, object.material.map.image.height] : null,
    texture_colour_space: object.material.map?.colorSpace ?? null,
  });
});
const animations = gltf.animations.map(({ duration, tracks }) => ({ seconds: duration, tracks: tracks.map((t) => t.name) }));
console.log(JSON.stringify({ issues: report.issues, meshes, animations }));
