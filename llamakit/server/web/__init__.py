"""The page at `/`: its built files in static/, what they are made of in source/."""
