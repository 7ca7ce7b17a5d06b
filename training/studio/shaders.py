"""What the studio's materials look like, in GLSL 3.3; all light is linear until :data:`RESOLVE`.

Every material is a body ``material()`` behind :data:`SHADING`. A picture is a function of the codes and the
camera alone: irradiance from nine harmonics, highlights from the lamp that explains their band 1.
"""

from typing import Final

VERTEX: Final = """
#version 330
uniform mat4 projection;
in vec3 position;
in vec3 normal;
in vec2 uv;
in float openness;
out vec3 at;
out vec3 facing;
out vec2 texel;
out float open_sky;
void main() {
    at = position;
    facing = normal;
    texel = uv;
    open_sky = openness;
    gl_Position = projection * vec4(position, 1.0);
}
"""

SHADING: Final = """
#version 330
uniform vec3 harmonics[9];
uniform vec3 key_direction;
uniform vec3 key_colour;
uniform vec3 camera_position;
uniform float sheen;
uniform float bust;
in vec3 at;
in vec3 facing;
in vec2 texel;
in float open_sky;
out vec4 colour;

vec3 irradiance(vec3 n, vec3 soft) {
    vec3 flat_part = 0.28209479 * harmonics[0];
    vec3 first = 0.48860251 * (n.y * harmonics[1] + n.z * harmonics[2] + n.x * harmonics[3]);
    vec3 second = 1.09254843 * (n.x * n.y * harmonics[4] + n.y * n.z * harmonics[5] + n.x * n.z * harmonics[7])
        + 0.31539157 * (3.0 * n.z * n.z - 1.0) * harmonics[6] + 0.54627422 * (n.x * n.x - n.y * n.y) * harmonics[8];
    return max(flat_part + first + soft * second, 0.0);
}

// Light that is kept out comes back from the walls around: the series of bounces between walls of the same albedo.
vec3 bounced(float openness, vec3 albedo) {
    return openness / (1.0 - 0.85 * albedo * (1.0 - openness));
}

float lobe(vec3 n, vec3 view, float sharpness) {
    vec3 half_way = normalize(view + key_direction);
    float facing_key = smoothstep(-0.1, 0.4, dot(n, key_direction));
    return facing_key * (sharpness + 8.0) / 8.0 * pow(max(dot(n, half_way), 0.0), sharpness);
}

float fresnel(vec3 n, vec3 view, float head_on) {
    return head_on + (1.0 - head_on) * 0.6 * pow(1.0 - clamp(dot(n, view), 0.0, 1.0), 5.0);
}

vec4 material(vec3 n, vec3 view);

void main() {
    if (at.y < bust) discard;
    vec3 view = normalize(camera_position - at);
    vec4 shaded = material(normalize(facing), view);
    colour = vec4(shaded.rgb, 1.0) * shaded.a;
}
"""

SKIN: Final = (
    SHADING
    + """
uniform sampler2DArray skins;
uniform sampler2DArray brows;
uniform int skin_count;
uniform int skin_index[20];
uniform float skin_weight[20];
uniform int brow_count;
uniform int brow_index[12];
uniform float brow_weight[12];
uniform vec3 brow_colour;
uniform vec3 tint;

// Where the cut bust shows its inside it is a solid block of the neck's colour.
vec4 inside() {
    vec3 albedo = vec3(0.0);
    for (int i = 0; i < skin_count; i++) {
        vec3 root = textureLod(skins, vec3(0.5, 0.06, skin_index[i]), 4.0).rgb;
        albedo += skin_weight[i] * root * root;
    }
    return vec4(0.6 * albedo * tint * irradiance(vec3(0.0, -1.0, 0.0), vec3(1.0)), 1.0);
}

vec4 material(vec3 n, vec3 view) {
    if (!gl_FrontFacing) return inside();
    vec3 albedo = vec3(0.0);
    for (int i = 0; i < skin_count; i++) {
        vec3 root = texture(skins, vec3(texel, skin_index[i])).rgb;
        albedo += skin_weight[i] * root * root;
    }
    albedo *= tint;
    float brow = 0.0;
    for (int i = 0; i < brow_count; i++) brow += brow_weight[i] * texture(brows, vec3(texel, brow_index[i])).r;
    albedo = mix(albedo, brow_colour, 0.9 * brow);
    vec3 soft = vec3(0.55, 0.85, 1.0);  // red light wanders under the skin and blurs its own shading
    vec3 lit = albedo * irradiance(n, soft) * bounced(open_sky, albedo);
    float glint = (0.75 * lobe(n, view, 9.0) + 0.5 * lobe(n, view, 38.0)) * fresnel(n, view, 0.04);
    lit += key_colour * sheen * (1.0 - 0.8 * brow) * open_sky * open_sky * glint;
    return vec4(lit, 1.0);
}
"""
)

FLAT: Final = (
    SHADING
    + """
uniform vec3 albedo;
uniform float wetness;

vec4 material(vec3 n, vec3 view) {
    vec3 lit = albedo * irradiance(n, vec3(1.0)) * bounced(open_sky, albedo);
    lit += key_colour * wetness * open_sky * open_sky * lobe(n, view, 60.0) * fresnel(n, view, 0.04);
    return vec4(lit, 1.0);
}
"""
)

EYE: Final = (
    SHADING
    + """
uniform sampler2DArray irises;
uniform int iris_count;
uniform int iris_index[11];
uniform float iris_weight[11];

vec4 material(vec3 n, vec3 view) {
    vec3 albedo = vec3(0.0);
    for (int i = 0; i < iris_count; i++) {
        vec3 root = texture(irises, vec3(texel, iris_index[i])).rgb;
        albedo += iris_weight[i] * root * root;
    }
    float wet = sqrt(open_sky);  // the bright ball and its moist rims light each other
    vec3 lit = albedo * irradiance(n, vec3(0.7)) * wet;
    lit += key_colour * open_sky * 0.6 * lobe(n, view, 350.0) * fresnel(n, view, 0.05);
    return vec4(lit, 1.0);
}
"""
)

LASH: Final = (
    SHADING
    + """
uniform sampler2D opacity;
uniform vec3 albedo;

vec4 material(vec3 n, vec3 view) {
    float hair = texture(opacity, texel).r;
    return vec4(albedo * irradiance(n, vec3(1.0)) * open_sky, 0.8 * hair);
}
"""
)

HAIR: Final = (
    SHADING
    + """
uniform sampler2D strands;
uniform vec3 hair_colour;
uniform float gloss;
uniform float detail_range;

// Each of the four samples of a pixel asks for another opacity, so that a fringe thins out in steps of a quarter.
float wanted_opacity() {
    ivec2 sample_place = ivec2(gl_FragCoord.xy) & 1;
    return 0.2 + 0.2 * float(sample_place.x * 2 + (sample_place.x ^ sample_place.y));
}

vec4 material(vec3 n, vec3 view) {
    vec2 strand = texture(strands, texel).rg;
    if (strand.g < wanted_opacity()) discard;
    float detail = strand.r * detail_range;
    vec3 albedo = hair_colour * detail;
    vec3 lit = albedo * irradiance(n, vec3(0.6)) * bounced(open_sky, albedo);
    vec3 shine = mix(vec3(0.5), hair_colour / (max(max(hair_colour.r, hair_colour.g), hair_colour.b) + 1e-3), 0.6);
    lit += key_colour * shine * gloss * detail * open_sky * open_sky * 0.03 * lobe(n, view, 14.0);
    return vec4(lit, 1.0);
}
"""
)

TRUTH: Final = """
#version 330
uniform float label;
uniform float hair_label;
uniform float tile;
uniform sampler2D opacity;
uniform int opacity_channel;
uniform float opacity_needed;
uniform float bust;
uniform vec3 forward;
uniform vec3 camera_position;
in vec3 at;
in vec3 facing;
in vec2 texel;
in float open_sky;
layout(location = 0) out vec4 shape;
layout(location = 1) out vec4 place;
void main() {
    if (at.y < bust) discard;
    if (opacity_needed > 0.0) {
        vec4 found = texture(opacity, texel);
        if ((opacity_channel == 0 ? found.r : found.g) < opacity_needed) discard;
    }
    float side = gl_FrontFacing || label >= hair_label ? 1.0 : -1.0;
    shape = vec4(side * normalize(facing), dot(at - camera_position, forward));
    place = vec4(texel.x + tile, texel.y, label, open_sky);
}
"""

CORNERS: Final = """
#version 330
in vec2 position;
void main() {
    gl_Position = vec4(position, 0.0, 1.0);
}
"""

RESOLVE: Final = """
#version 330
uniform sampler2D samples;
uniform sampler2D background;
uniform ivec2 size;
out vec4 colour;

vec3 to_srgb(vec3 linear) {
    vec3 x = clamp(linear, 0.0, 1.0);
    return mix(1.055 * pow(x, vec3(1.0 / 2.4)) - 0.055, 12.92 * x, vec3(lessThanEqual(x, vec3(0.0031308))));
}

vec3 to_linear(vec3 srgb) {
    return mix(pow((srgb + 0.055) / 1.055, vec3(2.4)), srgb / 12.92, vec3(lessThanEqual(srgb, vec3(0.04045))));
}

// Averages the four samples of a pixel in linear light, over the background; writes the picture's top row first.
void main() {
    ivec2 pixel = ivec2(gl_FragCoord.xy);
    ivec2 corner = 2 * ivec2(pixel.x, size.y - 1 - pixel.y);
    vec4 mean = vec4(0.0);
    for (int i = 0; i < 4; i++) {
        vec4 found = texelFetch(samples, corner + ivec2(i & 1, i >> 1), 0);
        mean += 0.25 * vec4(min(found.rgb, vec3(1.0)), found.a);
    }
    vec3 behind = to_linear(texture(background, (vec2(pixel) + 0.5) / vec2(size)).rgb);
    colour = vec4(to_srgb(mean.rgb + (1.0 - mean.a) * behind), mean.a);
}
"""
