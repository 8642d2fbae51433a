"""Pure checks of what an agent says against what was measured."""
