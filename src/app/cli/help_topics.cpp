#include "app/cli/help_topics.h"

namespace lora::app {
namespace {

// The guide's model of learning and its ways of tagging (requirements M146, M148, M151 to M154,
// M158).
constexpr std::string_view kLearningEn = R"(How tags are learned

Three things happen to the tags of a caption at once:

1. Tags link. Tags that stand in one caption learn their relation to each other; in prompts one
   then brings the others along. Tags that always stand together fuse into one.
     lora data check      names tags that are always together
     max_shuffled_tags    takes a few of the tags at each step, others each time
2. A tag learns its own look, and merges with what the base model knows under that name. Prompts
   with a common tag then show some of what was trained: pollution.
     lora interrogate --tags 1girl solo    how far such tags have moved
3. A tag learns the rest: what a picture shows and no tag names flows into the tags that are
   there, most of all into those that the base model does not know, such as the trigger. An
   untagged background comes back unasked.
     lora data check      names unknown tags and pictures without a background tag

The folder 5_mika sums up what its pictures have in common in the concept "mika". A character's
name as concept and as first tag tends to be steadier than two different words.

Ways to tag (lora tags --policy):
  full        every tag, the trigger first. Overfits least. What was tagged has to be asked for,
              so prompts get longer; linking (1) eases that: a few tags bring the others along.
  no_traits   hair, eyes and body go and flow into the trigger. Needs keep_tokens 1.
  whitelist   the trigger and what is neither trait nor clothing stay. Needs keep_tokens 1.
              A trigger per outfit says so: mika (uniform).
  none        no captions: the concept is the only tag; enough for one fixed outfit.
Without full tags fewer epochs x repeats are needed.
)";

constexpr std::string_view kLearningZh = R"(標籤如何被學習

一個標註中的標籤同時發生三件事:

1. 自動關聯。同一標註中的標籤會學到彼此的關係,之後提示詞中的一個會帶出其他的;
   總是一起出現的標籤會融合成一個。
     lora data check      列出總是一起出現的標籤
     max_shuffled_tags    每步只取其中幾個標籤,每次不同
2. 學習自己的樣式,並與底模中同名的標籤合併。之後用到常見標籤時也會帶出訓練內容:標籤污染。
     lora interrogate --tags 1girl solo    量測這些標籤偏移了多少
3. 學習剩餘的元素。圖中有而沒有標籤的內容會流入現有的標籤,尤其是底模不認識的標籤(如觸發詞)。
   沒有標註的背景之後會不請自來。
     lora data check      列出底模不認識的標籤與沒有背景標籤的圖片

資料夾 5_mika 會把其中圖片的共同點總結為概念「mika」。概念與第一個標籤都用角色名稱,結果通常較穩定。

打標方式(lora tags --policy):
  full        全標,觸發詞在最前。最不容易過擬合。標註過的內容要寫在提示詞裡,所以提示詞較長;
              標籤的自動關聯(1)可減輕:寫幾個標籤就會帶出其他的。
  no_traits   刪除頭髮、眼睛、身材,使其流入觸發詞。需要 keep_tokens 1。
  whitelist   只留觸發詞與角色特徵、服裝以外的標籤。需要 keep_tokens 1。
              每套服裝用各自的觸發詞,例如 mika (uniform)。
  none        不打標:概念是唯一的標籤;固定服裝的角色已經夠用。
非全標時 epochs x repeats 要低一點。
)";

constexpr HelpTopic kTopics[] = {
    {"learning",
     {"how tags are learned, and ways to tag", "標籤如何被學習與打標方式"},
     {kLearningEn, kLearningZh}},
};

}  // namespace

std::span<const HelpTopic> help_topics() { return kTopics; }

}  // namespace lora::app
