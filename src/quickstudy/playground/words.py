"""Every string of the page, in both languages."""

from __future__ import annotations

from html import escape

LANGUAGES = {"en": "English", "zh": "中文"}
"""Each language, by its own name."""
TAGS = {"en": "en", "zh": "zh-CN"}
"""What a browser calls them."""

WORDS: dict[str, tuple[str, str]] = {
    "title": ("quickstudy playground", "quickstudy 试验台"),
    "about": (
        "Give a few labelled sentences and see what can be learned from them. Nothing leaves this computer.",
        "给出几条带标签的句子，看看能从中学到什么。数据不会离开这台电脑。",
    ),
    "sentences_tab": ("Sentences", "句子"),
    "curve_tab": ("A curve, step by step", "逐步学一条曲线"),
    # what to learn from
    "sentences": ("Labelled sentences", "带标签的句子"),
    "sentences_how": (
        "One a line: label, comma or tab, sentence. Or a table with a header that names its columns text and label.",
        "每行一条：标签、逗号或制表符、句子。也可以粘贴表头含 text 和 label 两列的表格。",
    ),
    "sentences_like": (
        "card_lost, i cannot find my card\ncard_lost, my card was stolen\nrefund, please give my money back\n...",
        "丢卡, 我的银行卡找不到了\n丢卡, 钱包和卡都被偷了\n退款, 请把钱退给我\n……",
    ),
    "drop": ("Drop a table here, or choose one", "把表格拖到这里，或选择文件"),
    "drop_what": ("CSV, TSV or JSONL, up to 2 MB", "CSV、TSV 或 JSONL，最大 2 MB"),
    "columns": ("Columns of the table", "表格的列名"),
    "column_text": ("Sentences (--text)", "句子列（--text）"),
    "column_label": ("Labels (--label)", "标签列（--label）"),
    "reads": ("What reads the sentences", "用什么来读句子"),
    "minilm": ("minilm: English, by meaning", "minilm：英语，按语义"),
    "ngrams": ("ngrams: any script, by characters", "ngrams：任何文字，按字符"),
    "learn": ("Learn", "学习"),
    "fill": ("Fill in an example", "填入示例"),
    "example": (
        """\
card_lost, i cannot find my card anywhere
card_lost, somebody stole my wallet with the card in it
card_lost, my bank card is gone since yesterday
card_lost, i left my card in a shop
card_lost, how do i block a stolen card
parcel_late, my parcel has not come yet
parcel_late, the delivery was due on monday
parcel_late, where is my package
parcel_late, tracking has not moved for a week
parcel_late, i am still waiting for my order
refund, please give me my money back
refund, i sent it back and want a refund
refund, how long does a refund take
refund, you charged me twice
refund, the money has not been returned
password, i forgot my password
password, the login page rejects me
password, how do i set a new password
password, i am locked out of my account
password, the reset mail never came
""",
        """\
丢卡, 我的银行卡找不到了
丢卡, 钱包被偷了，卡也在里面
丢卡, 昨天起我的卡就不见了
丢卡, 我把卡落在商店里了
丢卡, 卡被盗了怎么挂失
快递, 我的快递还没有到
快递, 包裹应该周一送到的
快递, 我的包裹在哪里
快递, 物流信息一周没有更新了
快递, 快递什么时候能送到
退款, 请把钱退给我
退款, 货已经退了，我要退款
退款, 退款需要多长时间
退款, 你们重复扣款了
退款, 退款的钱还没有到账
密码, 我忘记密码了
密码, 登录页面一直说密码错误
密码, 怎样设置新密码
密码, 我的账号登录不了
密码, 重置密码的邮件没有收到
""",
    ),
    # what happened
    "learning": ("Learning…", "正在学习……"),
    "learned": (
        "Learned {labels} labels from {sentences} sentences in {seconds} s: {how} on {model}.",
        "用 {seconds} 秒从 {sentences} 条句子学会了 {labels} 个标签：{how}（{model}）。",
    ),
    "opened": (
        "Opened {folder}, which knows {labels} labels. How good it is stands in its README.md.",
        "已打开 {folder}，它认识 {labels} 个标签。它的准确率见其中的 README.md。",
    ),
    "filled": (
        "{name}: {sentences} sentences, {labels} labels. They are in the box now; press Learn.",
        "{name}：{sentences} 条句子，{labels} 个标签。已放入输入框，请按“学习”。",
    ),
    "bug": (
        "This is a bug of ours ({kind}); what happened is in the terminal that the page was started from.",
        "这是程序自身的错误（{kind}）；详情见启动本页面的终端。",
    ),
    # what is wrong
    "box": ("the box", "输入框"),
    "box_line": ("the box, line {line}", "输入框第 {line} 行"),
    "empty": (
        "There is no sentence yet: type some, one a line, drop a table, or fill in the example.",
        "还没有句子：请逐行输入，拖入表格，或填入示例。",
    ),
    "no_mark": (
        "{where}: no comma or tab between label and sentence ({shown}); write: label, sentence",
        "{where}：标签和句子之间没有逗号或制表符（{shown}）；请写成：标签, 句子",
    ),
    "too_many": (
        "{name} has more than {most} sentences, the most that this page takes; learn from it with: {command}",
        "{name} 的句子超过 {most} 条，本页面最多接受这么多；请用命令行学习：{command}",
    ),
    "too_large": (
        "{name} is larger than {most} MB, the most that this page takes; learn from it with: {command}",
        "{name} 大于 {most} MB，本页面最多接受这么大；请用命令行学习：{command}",
    ),
    "each_its_own": (
        "Every sentence has a label of its own; is the label first, and the sentence after it?",
        "每条句子的标签都不相同；标签写在句子前面了吗？",
    ),
    # answers
    "try": ("A new sentence", "新句子"),
    "try_like": ("type one and watch the answer", "输入一句，看它怎么回答"),
    "answer_first": ("Learn first; then the answer to each sentence appears here as you type.", "先学习；之后边输入边显示回答。"),
    "answer_waits": ("Type a sentence above.", "请在上面输入一句话。"),
    "none": ("None of the labels", "不属于任何标签"),
    "none_why": (
        "It is like nothing that was learned; the nearest label is {label}.",
        "它和学过的句子都不像；最接近的标签是 {label}。",
    ),
    "probabilities": ("Probabilities", "概率"),
    "others": ("{count} more labels", "另外 {count} 个标签"),
    "nearest": ("The nearest sentences it learned from, and their similarity", "学过的句子中最相近的，及其相似度"),
    # the map
    "map": ("Map of the sentences", "句子地图"),
    "map_how": (
        "Each mark is a sentence; those of one label look alike. Near means similar; these two directions hold {share}% of the "
        "differences.",
        "每个标记是一条句子，同一标签的标记相同。距离近表示相似；这两个方向包含了 {share}% 的差异。",
    ),
    "map_some": ("{shown} of {labels} labels are shown.", "显示了 {labels} 个标签中的 {shown} 个。"),
    "map_none": ("There are too few sentences for a map.", "句子太少，画不出地图。"),
    "map_new": ("your sentence", "你的句子"),
    "map_says": ("{sentences} sentences of {labels} labels: {names}.", "{labels} 个标签的 {sentences} 条句子：{names}。"),
    # how good
    "accuracy": ("Expected accuracy", "预期准确率"),
    "accuracy_between": ("{low} to {high}%", "{low} 至 {high}%"),
    "accuracy_how": (
        "Measured on {judged} sentences that were held out in {folds} parts, each in turn; the range is the 95% interval.",
        "把 {judged} 条句子分成 {folds} 份，轮流留出来检验得到；范围为 95% 置信区间。",
    ),
    "accuracy_unknown": (
        "It could not be measured: every label has a single sentence, so none could be held out.",
        "无法测量：每个标签只有一条句子，没有可以留出检验的。",
    ),
    "unchecked": ("Not checked, with a single sentence: {labels}.", "只有一条句子、未能检验的标签：{labels}。"),
    "more": ("What one more sentence a label would bring", "每个标签再多一条句子会带来什么"),
    "more_gain": (
        "About {gain} points, going by the curve: an estimate, which sentences unlike these can belie.",
        "按曲线估计约 {gain} 个百分点；若新句子和这些不像，结果会有出入。",
    ),
    "more_nothing": (
        "Next to nothing, going by the curve; better labels, or sentences of another kind, may.",
        "按曲线估计几乎没有提高；更好的标签或另一类句子也许更有用。",
    ),
    "more_unknown": (
        "Not known: it takes {least} sentences of each label to see, and {label} has {count}.",
        "还不知道：每个标签至少要有 {least} 条句子才能看出，而 {label} 有 {count} 条。",
    ),
    "more_curve": ("Accuracy over sentences a label", "准确率随每个标签句子数的变化"),
    "more_across": ("sentences a label", "每个标签的句子数"),
    "more_measured": ("measured", "测得"),
    "more_expected": ("expected", "预计"),
    "measuring": ("Measuring…", "正在测量……"),
    # to take home
    "take": ("Take it with you", "带走结果"),
    "download": ("Download clf.zip", "下载 clf.zip"),
    "gone": ("This page has been left too long; learn again.", "页面放置过久，请重新学习。"),
    "download_what": (
        "The classifier as a folder, clf, and the sentences as my.csv. Unpacked, these do what this page does:",
        "包含分类器文件夹 clf 和句子表 my.csv。解压后，下面的命令和代码与本页面所做的相同：",
    ),
    "in_shell": ("On the command line", "命令行"),
    "in_python": ("In Python", "Python"),
    # the curve
    "curve_about": (
        "From many sine curves a small network has learned how to learn one: where to start, so that a few gradient steps are "
        "enough (MAML). Each step moves it towards the points of a curve that it has never seen.",
        "一个小网络从许多正弦曲线中学会了如何学习：找到一个起点，只需几步梯度就够（MAML）。每一步都让它靠近一条没见过的曲线上的点。",
    ),
    "curve_step": ("Gradient steps", "梯度步数"),
    "curve_shots": ("Points it learns from", "用来学习的点数"),
    "curve_next": ("Another curve", "换一条曲线"),
    "curve_truth": ("the curve", "真实曲线"),
    "curve_points": ("its points", "给出的点"),
    "curve_learned": ("MAML", "MAML"),
    "curve_plain": ("without meta-training", "未经元训练"),
    "curve_error": (
        "After {steps} steps from {shots} points the squared error is {learned} for MAML, and {plain} for the same network "
        "without meta-training.",
        "用 {shots} 个点走 {steps} 步后，MAML 的平方误差为 {learned}，未经元训练的同一网络为 {plain}。",
    ),
    "curve_title": ("A sine curve and what has been learned of it", "一条正弦曲线和学到的结果"),
}


class Say:
    """The words of one language: `say("learned", labels=3, ...)`.

    Args:
        language: one of `LANGUAGES`.
    """

    def __init__(self, language: str):
        self.language = language
        self._place = list(LANGUAGES).index(language)

    def __call__(self, key: str, **values: object) -> str:
        """The string of this key, with its values in place."""
        return WORDS[key][self._place].format(**values)

    def html(self, key: str, **values: object) -> str:
        """The same, for a page: values that look like markup are only words."""
        return escape(self(key, **values))


def preferred(accepted: str) -> str:
    """The language of these that a browser's Accept-Language names first; English where it names none."""

    def weight(part: str) -> float:
        try:
            return float(part.partition("q=")[2] or 1)
        except ValueError:
            return 0.0

    wanted = [part.strip().lower() for part in sorted(accepted.split(","), key=weight, reverse=True)]
    return next((part[:2] for part in wanted if part[:2] in LANGUAGES), "en")
