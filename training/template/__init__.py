"""How the head template is made: our own mesh, atlas, shape decoder and hair cards, from the studio's head."""
