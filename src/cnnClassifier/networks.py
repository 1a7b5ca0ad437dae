"""The project's own networks, trained from scratch: image (None, size, size, 3) RGB 0-255 -> map (None, h, w, c).

Keras' own layers only, so that a saved model is read without this module.
"""

from collections.abc import Callable
from typing import Any

import keras

from cnnClassifier.errors import ConfigError

L2, BLOCK_DROPOUT = 1e-3, 0.5  # of ThreeBlockCNN, as the histopathology system states them

PATCH = 16  # pixels; with WIDTH and HEADS as DeiT-Ti (Touvron et al. 2021), at half its depth
WIDTH, HEADS, VIT_BLOCKS = 192, 3, 6


def small_cnn(image: Any) -> Any:
    """Four blocks of convolution, batch normalisation, ReLU and pooling: small enough to train from scratch."""
    x = keras.layers.Rescaling(1 / 127.5, offset=-1.0, name="rescale")(image)
    for block, filters in enumerate((16, 32, 64, 96), start=1):
        x = keras.layers.Conv2D(filters, 3, padding="same", use_bias=False, name=f"block{block}_conv")(x)
        x = keras.layers.BatchNormalization(momentum=0.9, name=f"block{block}_bn")(x)
        x = keras.layers.Activation("relu", name=f"block{block}_relu")(x)
        x = keras.layers.MaxPooling2D(2, name=f"block{block}_pool")(x)
    return x


def basic_cnn(image: Any) -> Any:
    """One convolution with ReLU, pooling, batch normalisation: the colorectal system's basic CNN.

    Its dense layer is the head: `pooling: flatten`, `hidden_units: 64`.
    """
    x = keras.layers.Rescaling(1 / 255, name="rescale")(image)
    x = keras.layers.Conv2D(32, 3, activation="relu", name="block1_conv")(x)
    x = keras.layers.MaxPooling2D(2, name="block1_pool")(x)
    return keras.layers.BatchNormalization(momentum=0.9, name="block1_bn")(x)


def three_block_cnn(image: Any) -> Any:
    """Three blocks of convolution (L2), batch normalisation, pooling and dropout: the histopathology system's CNN.

    Its dense layers are the head: `hidden_units: [256, 128]`.
    """
    x = keras.layers.Rescaling(1 / 255, name="rescale")(image)
    for block, filters in enumerate((32, 64, 128), start=1):
        x = keras.layers.Conv2D(
            filters,
            3,
            padding="same",
            activation="relu",
            kernel_regularizer=keras.regularizers.L2(L2),
            name=f"block{block}_conv",
        )(x)
        x = keras.layers.BatchNormalization(momentum=0.9, name=f"block{block}_bn")(x)
        x = keras.layers.MaxPooling2D(2, name=f"block{block}_pool")(x)
        x = keras.layers.Dropout(BLOCK_DROPOUT, name=f"block{block}_dropout")(x)
    return x


def vision_transformer(image: Any) -> Any:
    """Patches of 16 x 16 pixels through six pre-normalised transformer blocks (Dosovitskiy et al. 2021).

    The tokens are laid out again as a map, one a patch, in place of a class token: a mean over them classifies as
    well (Beyer et al. 2022), and the map says where. ConfigError unless the side is a multiple of 16.
    """
    size = image.shape[1]
    if size % PATCH:
        raise ConfigError(
            f"prepare_base_model.preprocessing.image_size: ViTTiny takes a multiple of {PATCH} pixels. Received: {size}"
        )
    side = size // PATCH
    x = keras.layers.Rescaling(1 / 127.5, offset=-1.0, name="rescale")(image)
    x = _tokens(x, side)
    for block in range(1, VIT_BLOCKS + 1):
        x = _transformer_block(x, f"block{block}")
    x = keras.layers.LayerNormalization(epsilon=1e-6, name="norm")(x)
    return keras.layers.Reshape((side, side, WIDTH), name="token_map")(x)


def _tokens(x: Any, side: int) -> Any:
    """Patches as vectors, projected; the projection's bias, one for each place, is the position's embedding."""
    x = keras.layers.Reshape((side, PATCH, side, PATCH, 3), name="patch_grid")(x)
    x = keras.layers.Permute((1, 3, 2, 4, 5), name="patch_order")(x)
    x = keras.layers.Reshape((side * side, PATCH * PATCH * 3), name="patches")(x)
    return keras.layers.EinsumDense(
        "btp,pc->btc",
        output_shape=(side * side, WIDTH),
        bias_axes="tc",
        bias_initializer=keras.initializers.TruncatedNormal(stddev=0.02),
        name="embedding",
    )(x)


def _transformer_block(x: Any, name: str) -> Any:
    """Attention between all tokens, then two dense layers for each; both added to what came in."""
    y = keras.layers.LayerNormalization(epsilon=1e-6, name=f"{name}_norm1")(x)
    y = keras.layers.MultiHeadAttention(HEADS, WIDTH // HEADS, name=f"{name}_attention")(y, y)
    x = keras.layers.Add(name=f"{name}_attended")([x, y])
    y = keras.layers.LayerNormalization(epsilon=1e-6, name=f"{name}_norm2")(x)
    y = keras.layers.Dense(4 * WIDTH, name=f"{name}_expand")(y)
    y = keras.layers.Activation("gelu", name=f"{name}_gelu")(y)
    y = keras.layers.Dense(WIDTH, name=f"{name}_project")(y)
    return keras.layers.Add(name=f"{name}_out")([x, y])


# By the names they have in the table of backbones.
OWN_NETWORKS: dict[str, Callable[[Any], Any]] = {
    "SmallCNN": small_cnn,
    "BasicCNN": basic_cnn,
    "ThreeBlockCNN": three_block_cnn,
    "ViTTiny": vision_transformer,
}
