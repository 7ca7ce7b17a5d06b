"""The programs that the surface view runs on the graphics card (GLSL 1.20); lengths in metres, colours premultiplied.

``place`` moves (x, y) and scales (z) what is drawn in the picture's plane: a scan beside its surface.
"""

from typing import Final

_LIGHT: Final = """
uniform vec3 lamp;
uniform vec4 strengths;  // of the lamp, its mirror image, the fill from above, and of edges
float fall(vec3 n, vec3 way) { return max(dot(n, normalize(way)), 0.0); }
float lit(vec3 n) {
    float key = strengths.x * fall(n, lamp) + strengths.y * fall(n, lamp * vec3(-1.0, 1.0, 1.0));
    float edge = strengths.w * pow(1.0 - abs(n.z), 2.5);
    return key + strengths.z * (0.5 + 0.5 * n.y) + edge;
}
float gloss(vec3 n) {
    return pow(max(dot(reflect(-normalize(lamp), n), vec3(0.0, 0.0, 1.0)), 0.0), 24.0) * strengths.x;
}
"""

MESH_VERTEX: Final = """
uniform mat4 clip;
uniform vec3 place;
attribute vec3 position;
attribute vec3 normal;
attribute vec2 uv;
attribute vec3 tint;
varying vec3 v_normal;
varying vec2 v_uv;
varying vec3 v_tint;
void main() {
    gl_Position = clip * vec4(position, 1.0);
    gl_Position.xy = gl_Position.xy * place.z + place.xy * gl_Position.w;
    v_normal = normal;
    v_uv = uv;
    v_tint = tint;
}
"""

MESH_FRAGMENT: Final = (
    """
uniform int shading;  // 0 a colour for each vertex, 1 the texture, 2 normals
uniform float flatness;
uniform sampler2D texture;
uniform mat3 to_camera;
varying vec3 v_normal;
varying vec2 v_uv;
varying vec3 v_tint;
"""
    + _LIGHT
    + """
void main() {
    vec3 n = to_camera * normalize(v_normal);
    n = gl_FrontFacing ? n : -n;
    vec3 base = shading == 1 ? texture2D(texture, v_uv).rgb : v_tint;
    vec3 shaded = base * mix(lit(n), 1.0, flatness) + 0.12 * gloss(n) * (1.0 - flatness);
    gl_FragColor = vec4(shading == 2 ? 0.5 + 0.5 * n : shaded, 1.0);
}
"""
)

LINE_VERTEX: Final = """
uniform mat4 clip;
uniform vec3 place;
attribute vec3 position;
void main() {
    gl_Position = clip * vec4(position, 1.0);
    gl_Position.xy = gl_Position.xy * place.z + place.xy * gl_Position.w;
}
"""

LINE_FRAGMENT: Final = """
uniform vec4 colour;
void main() { gl_FragColor = vec4(colour.rgb * colour.a, colour.a); }
"""

POINT_VERTEX: Final = """
uniform mat4 clip;
uniform vec3 place;
uniform float footprint;  // pixels at one metre
attribute vec3 position;
attribute vec3 normal;
varying vec3 v_normal;
void main() {
    gl_Position = clip * vec4(position, 1.0);
    gl_PointSize = max(footprint / gl_Position.w, 1.5);
    gl_Position.xy = gl_Position.xy * place.z + place.xy * gl_Position.w;
    v_normal = normal;
}
"""

POINT_FRAGMENT: Final = (
    """
uniform vec4 colour;
uniform mat3 to_camera;
varying vec3 v_normal;
"""
    + _LIGHT
    + """
void main() {
    vec2 off = gl_PointCoord - 0.5;
    if (dot(off, off) > 0.25) discard;
    vec3 n = to_camera * normalize(v_normal);
    n = n.z < 0.0 ? -n : n;
    gl_FragColor = vec4(colour.rgb * lit(n) * colour.a, colour.a);
}
"""
)
