"""The networks that find opacities inside the lungs: recipe, material, training, measurement."""
