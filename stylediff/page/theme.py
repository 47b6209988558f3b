"""Colours and font of the page."""

import gradio as gr

FONT = "IBM Plex Sans"  # gradio's copy of Montserrat has the letters of another typeface in its regular weight


def build_theme() -> gr.themes.Soft:
    """Build gradio's soft theme with a working font and enough contrast.

    Text has a contrast of at least 4.5, edges of controls of at least 3.
    """
    theme = gr.themes.Soft(
        primary_hue="indigo",
        neutral_hue="slate",
        font=(gr.themes.LocalFont(FONT, weights=(400, 700)), "system-ui", "sans-serif"),
    )
    return theme.set(
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_300",
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_dark="*primary_600",
        button_primary_background_fill_hover="*primary_700",
        button_primary_background_fill_hover_dark="*primary_700",
        button_secondary_text_color="*neutral_800",
        block_label_text_color="*primary_700",
        block_label_text_color_dark="*neutral_100",
        block_title_text_color="*primary_700",
        block_title_text_color_dark="*neutral_100",
        block_info_text_color="*neutral_600",
        block_info_text_color_dark="*neutral_300",
        input_border_color="*neutral_400",
        input_border_color_dark="*neutral_500",
        checkbox_border_color="*neutral_500",
        checkbox_border_color_dark="*neutral_400",
        checkbox_label_background_fill_selected="*primary_600",
        checkbox_label_background_fill_selected_dark="*primary_600",
        checkbox_label_text_color_selected="white",
        checkbox_label_border_color="*neutral_300",
        checkbox_label_border_color_dark="*neutral_600",
        slider_color="*primary_600",
        slider_color_dark="*primary_400",
        link_text_color="*primary_700",
        link_text_color_dark="*primary_300",
    )
