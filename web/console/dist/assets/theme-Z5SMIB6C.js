import{a as e,b as m}from"/assets/chunk-XEU7CRXE.js";m(e());
