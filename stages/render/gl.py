"""The same pictures as `raster`, drawn by pyrender on an OpenGL device through EGL.

pyrender's own shaders are physically based and its framebuffer is multisampled, so that neither
colour, nor mask, nor depth is that of a pixel's centre. Here it draws with the two shaders below,
which hold the project's shading, and one sample a pixel.

Importing this module chooses EGL for the whole process. One renderer lives as long as the process:
making another is slow, and a mesh drawn by one cannot be drawn by another.
"""

from __future__ import annotations

import functools
import os

import numpy as np

os.environ["PYOPENGL_PLATFORM"] = "egl"  # read when OpenGL is first imported

import pyrender
from OpenGL import GL
from pyrender.renderer import Renderer
from pyrender.shader_program import ShaderProgram, ShaderProgramCache

from stages.errors import EnvironmentLacks
from stages.render.surface import ALPHA_CUT, NEAR, Shot, Surface

# Compiled with pyrender's numbers of the vertex attributes defined: NORMAL_LOC and so on.
SOURCES = {
    "flat.vert": """
layout(location = 0) in vec3 position;
layout(location = NORMAL_LOC) in vec3 normal;
layout(location = COLOR_0_LOC) in vec4 color_0;
uniform mat4 M;  // scales the shape
uniform mat4 V;
uniform mat4 P;
out vec3 corner_normal;
flat out vec4 rgba;
#ifdef TEXCOORD_0_LOC
layout(location = TEXCOORD_0_LOC) in vec2 texcoord_0;
out vec2 uv;
#endif

void main() {
    gl_Position = P * V * M * vec4(position, 1.0);
    vec3 side = normal / vec3(M[0][0], M[1][1], M[2][2]);
    corner_normal = mat3(V) * side / max(length(side), 1e-30);
    rgba = color_0;
#ifdef TEXCOORD_0_LOC
    uv = texcoord_0;
#endif
}
""",
    "flat.frag": """
uniform vec4 lamp;  // towards the light in the frame of V, as long as it is strong; ambient
in vec3 corner_normal;
flat in vec4 rgba;
out vec4 color;
#ifdef TEXCOORD_0_LOC
struct Material { sampler2D base_color_texture; };
uniform Material material;
in vec2 uv;
#endif

void main() {
    vec4 base = rgba;
#ifdef TEXCOORD_0_LOC
    base *= texture(material.base_color_texture, uv);
#endif
    if (base.a < ALPHA_CUT) discard;
    float side = gl_FrontFacing ? 1.0 : -1.0;
    float lit = max(0.0, side * dot(normalize(corner_normal), lamp.xyz));
    color = vec4(base.rgb * (lamp.w + lit), 1.0);
}
""",
}


class Scene:
    """A surface, ready to be seen by cameras; see `raster.Scene`."""

    def __init__(self, surface: Surface) -> None:
        self.vertices = surface.vertices
        self.scene = pyrender.Scene(bg_color=np.zeros(4))
        self.node = None
        textures = np.unique(surface.texture)
        if len(textures):
            mesh = pyrender.Mesh([_primitive(surface, int(t)) for t in textures])
            self.node = self.scene.add(mesh)

    def shoot(self, shot: Shot) -> tuple[np.ndarray, np.ndarray]:
        """(size, size, 3) uint8 sRGB and (size, size) float32 depth along the optical axis.

        Both pictures are zero where nothing is seen.
        """
        lens, size = shot.lens, shot.size
        rotation, translation = shot.extrinsics[:, :3], shot.extrinsics[:, 3]
        depths = self.vertices @ (rotation[2] * shot.scale) + translation[2]
        near = max(NEAR, 0.99 * depths.min())  # tight, for the sake of the 24 bits of depth
        far = 1.01 * max(near, depths.max())
        camera = pyrender.IntrinsicsCamera(
            lens[0, 0], lens[1, 1], lens[0, 2], lens[1, 2], znear=near, zfar=far
        )
        pose = np.eye(4)  # of the GL camera (x right, y up, z backward) in the world
        pose[:3, :3] = rotation.T * [1, -1, -1]
        pose[:3, 3] = -rotation.T @ translation
        node = self.scene.add(camera, pose=pose)
        if self.node is not None:
            self.scene.set_pose(self.node, np.diag([*shot.scale, 1.0]))
        renderer = _renderer()
        renderer.viewport_width = renderer.viewport_height = size
        lamp = np.array([*(shot.light.towards * [1, -1, -1]), shot.light.ambient], np.float32)
        renderer._renderer._program_cache.lamp = lamp
        flags = pyrender.RenderFlags.FLAT | pyrender.RenderFlags.SKIP_CULL_FACES
        color, depth = renderer.render(self.scene, flags | pyrender.RenderFlags.RGBA)
        self.scene.remove_node(node)
        return np.where(depth[..., None] > 0, color[..., :3], np.uint8(0)), depth


def _primitive(surface: Surface, texture: int) -> pyrender.Primitive:
    """The faces of one texture (-1 for none), each with corners of its own."""
    chosen = surface.texture == texture
    corners = surface.faces[chosen].reshape(-1)
    material, uv = pyrender.MetallicRoughnessMaterial(alphaMode="OPAQUE"), None
    if texture >= 0:
        first, height, width = surface.layout[texture]
        texels = surface.texels[first : first + height * width].reshape(height, width, 4)
        sampler = pyrender.Sampler(magFilter=GL.GL_LINEAR, minFilter=GL.GL_LINEAR)
        material.baseColorTexture = pyrender.Texture(
            source=texels, source_channels="RGBA", sampler=sampler
        )
        uv = surface.uv[corners]
    return pyrender.Primitive(
        positions=surface.vertices[corners],
        normals=surface.normals[chosen].reshape(-1, 3),
        texcoord_0=uv,
        color_0=np.repeat(surface.rgba[chosen], 3, axis=0),
        material=material,
    )


class _Program(ShaderProgram):
    """A shader program from the sources above instead of pyrender's files."""

    def _load(self, shader_filename: str) -> str:
        defines = {**self.defines, "ALPHA_CUT": ALPHA_CUT}
        lines = "".join(f"#define {name} {value}\n" for name, value in defines.items())
        return "#version 330 core\n" + lines + SOURCES[shader_filename]


class _Programs(ShaderProgramCache):
    """Hands pyrender our programs, each with the present light."""

    lamp = np.zeros(4, np.float32)

    def get_program(self, vertex_shader, fragment_shader, geometry_shader=None, defines=None):
        """The program of these shaders and definitions, compiled once."""
        key = (vertex_shader, fragment_shader, tuple(sorted((defines or {}).items())))
        if key not in self._program_cache:
            self._program_cache[key] = _Program(vertex_shader, fragment_shader, defines=defines)
            self._program_cache[key]._add_to_context()
        program = self._program_cache[key]
        program._bind()
        program.set_uniform("lamp", self.lamp)
        return program


class _SingleSampled(Renderer):
    """pyrender's renderer with one sample a pixel, at its centre, instead of four."""

    def _configure_main_framebuffer(self) -> None:
        size = (self.viewport_width, self.viewport_height)
        kept = self._main_fb is not None and self._main_fb_dims == size
        super()._configure_main_framebuffer()
        if kept:
            return
        formats = ((self._main_cb_ms, GL.GL_RGBA), (self._main_db_ms, GL.GL_DEPTH_COMPONENT24))
        for buffer, kind in formats:
            GL.glBindRenderbuffer(GL.GL_RENDERBUFFER, buffer)
            GL.glRenderbufferStorageMultisample(GL.GL_RENDERBUFFER, 0, kind, *size)


@functools.cache
def _renderer() -> pyrender.OffscreenRenderer:
    """The renderer of this process."""
    try:
        renderer = pyrender.OffscreenRenderer(1, 1)
    except Exception as error:  # whatever the driver says; each has errors of its own
        raise EnvironmentLacks(
            f"OpenGL does not start: {error}", "run: crossdim render --backend numba"
        ) from error
    renderer._renderer = _SingleSampled(1, 1)
    renderer._renderer._program_cache = _Programs()
    return renderer


def device() -> str:
    """The name that the OpenGL device gives itself (GL_RENDERER)."""
    _renderer()._platform.make_current()
    return GL.glGetString(GL.GL_RENDERER).decode()
